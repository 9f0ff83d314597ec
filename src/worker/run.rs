//! The worker thread's outer loop: wait for a command, do it, tell how it ended. A job that fails or panics
//! costs the job, never the session.

use super::{
    Command, Event, Job, Metrics, Progress, RunState,
    attach::attach_following,
    control::Control,
    films::Film,
    judges::Judges,
    loaded_editor::{LoadedEditor, drop_editor, drop_what_is_on_cards, load_editor, wait_beside},
    open::{self, announce, restore_state},
    pictures::{path_cameras, resize},
    poses,
    project::{Access, SCENE_FILE},
    session::{Session, unplaced_poses},
};
use crate::{Error, Result, gpu::Gpu, metric, scene::CropBox, settings::Loss};
use std::{path::Path, sync::Arc};

pub struct Worker {
    session: Session,
    control: Control,
    editor: Option<LoadedEditor>,
}

impl Worker {
    pub fn new(gpu: Arc<Gpu>, control: Control) -> Self {
        Self {
            session: Session::new(gpu),
            control,
            editor: None,
        }
    }

    pub fn run(mut self) {
        let mut insisted = false;
        loop {
            self.session.run_between(&mut self.control);
            if let Some(command) = self.control.after.pop_front() {
                insisted = false;
                if let Err(e) = Error::contained(|| self.execute(command)) {
                    // What was to follow assumed that this had worked.
                    self.control.poll();
                    self.control.after.clear();
                    self.control.emit(Event::Error(e.to_string()));
                }
            } else if self.control.shutting_down {
                match Error::contained(|| self.session.save(&self.control)) {
                    Ok(()) => break,
                    Err(_) if insisted => break,
                    Err(e) => {
                        insisted = true;
                        self.control.shutting_down = false;
                        self.control.emit(Event::NotSaved(format!(
                            "the project was not saved: {e}. Put that right and try again; closing once more gives up \
                             what was not saved"
                        )));
                    }
                }
            } else {
                wait_beside(&mut self.editor, &mut self.control);
            }
        }
    }

    fn execute(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Open(path) => self.job(Job::Open, |w| w.open(&path, None, Access::Write)),
            Command::OpenWithScene { capture, scene } => {
                self.job(Job::Open, |w| w.open(&capture, Some(&scene), Access::Write))
            }
            Command::OpenReadOnly(path) => {
                self.job(Job::Open, |w| w.open(&path, None, Access::Read))
            }
            Command::AttachSplats(path) => self.job(Job::Open, |w| {
                let had_splats = w.session.trainer.is_some();
                w.session
                    .keep_live("Before another scene", &[], &w.control)?;
                let is_moved = attach_following(&path, &mut w.session, &w.control)?;
                w.session.job = None;
                if let Some(project) = &mut w.session.project {
                    project.manifest.current = None;
                }
                if is_moved {
                    let settings = w.control.settings.clone();
                    announce(&mut w.session, &settings, &w.control)?;
                }
                if !had_splats {
                    w.control.emit(Event::SplatsReady);
                }
                w.session.draw_live(&w.control);
                Ok(true)
            }),
            Command::Reconstruct => self.job(Job::Reconstruct, |w| {
                w.session.begin_reconstruction(None, &w.control)?;
                w.run_job()
            }),
            Command::Edit => self.job(Job::Edit, |w| {
                w.begin_edit()?;
                w.run_job()
            }),
            Command::EditCopy(folder) => self.job(Job::Edit, |w| {
                w.session.wanted_folder = Some(folder);
                if let Err(e) = Error::contained(|| w.begin_edit()) {
                    // What was refused leaves the open project as it was.
                    w.session.wanted_folder = None;
                    if let Some(project) = &w.session.project {
                        w.control.settings = project.manifest.settings.clone();
                    }
                    return Err(e);
                }
                w.run_job()
            }),
            Command::ResumeJob => {
                let job = self.session.job.as_ref().map_or(Job::Edit, |j| j.job);
                self.job(job, Self::run_job)
            }
            Command::Restore(id) => {
                let record = self.session.snapshot_state(id)?;
                self.session
                    .keep_live("Before going back", &[id], &self.control)?;
                restore_state(&mut self.session, &record)?;
                self.session.job = None;
                if let Some(project) = &mut self.session.project {
                    project.manifest.current = Some(id);
                    project.manifest.live = Some(record);
                }
                self.session.save_or_warn(&self.control);
                self.session.show(None, &self.control)?;
                self.control.emit(Event::Restored(id));
                self.control
                    .emit(Event::Interrupted(self.session.interrupted()));
                Ok(())
            }
            Command::EditImage {
                image,
                output,
                grid,
            } => self.job(Job::EditImage, |w| {
                let (editor, control) = (&mut w.editor, &mut w.control);
                w.session
                    .edit_picture(&image, &output, grid.as_ref(), editor, control)
                    .map(|()| true)
            }),
            Command::TryOut {
                view,
                prompt,
                trials,
            } => self.job(Job::TryOut, |w| {
                let (editor, control) = (&mut w.editor, &mut w.control);
                w.session
                    .try_on_view(view, &prompt, &trials, editor, control)
                    .map(|()| true)
            }),
            Command::Render {
                cameras,
                orbit,
                path,
                frames_per_sec,
                side,
                output,
                format,
                look,
            } => self.job(Job::Render, |w| {
                let crop = CropBox::parse(&w.control.settings.crop)?;
                let mut film = Film {
                    frames_per_sec,
                    is_cycle: orbit.is_some(),
                    look,
                    scale: w.session.scale_of_capture(),
                };
                let mut shots = match path {
                    Some(path) => path_cameras(&path, &mut film, &w.control)?,
                    None => {
                        let seen = cameras.as_deref();
                        w.session
                            .render_cameras(seen, orbit, &mut film, &w.control)?
                    }
                };
                if let Some(side) = side {
                    resize(&mut shots, side);
                }
                w.session.trainer()?.set_crop(crop)?;
                let rendered = Error::contained(|| {
                    w.session
                        .render_pictures(shots, film, &output, format, &mut w.control)
                });
                w.session.trainer()?.set_crop(None)?;
                rendered.map(|()| true)
            }),
            Command::MakeViews {
                stance,
                folder,
                opens,
            } => self.job(Job::Render, |w| {
                let folder = match folder {
                    Some(folder) => folder,
                    None => w.session.unplaced_views()?,
                };
                let views = w.session.make_views(stance, &folder, &mut w.control)?;
                w.control.emit(Event::Exported(folder.clone()));
                if opens {
                    w.open(&folder, Some(&views.scene), Access::Write)?;
                    // A project holds pictures and scene together from here on.
                    w.session.ensure_project(&w.control)?;
                    w.session.save(&w.control)?;
                }
                Ok(true)
            }),
            Command::Deliver { output, delivery } => self.job(Job::Convert, |w| {
                w.session.deliver(&output, delivery, &mut w.control)
            }),
            Command::FindPoses {
                photos,
                folder,
                opens,
            } => self.job(Job::Poses, |w| {
                let folder = match folder {
                    Some(folder) => folder,
                    None => unplaced_poses(&photos)?,
                };
                let found = poses::find(&photos, &folder, &w.control)?;
                w.control.emit(Event::Exported(folder.clone()));
                if opens {
                    w.open(&folder, None, Access::Write)?;
                }
                w.control.emit(if found.lost.is_empty() {
                    Event::Note(found.to_string())
                } else {
                    Event::Warning(found.to_string())
                });
                Ok(true)
            }),
            Command::Evaluate => self.job(Job::Evaluate, |w| w.evaluate().map(|()| true)),
            other => Err(Error::Invalid(format!(
                "{other:?} cannot wait for a job's end"
            ))),
        }
    }

    fn open(&mut self, path: &Path, scene: Option<&Path>, access: Access) -> Result<bool> {
        let is_own = self.session.project.as_ref().is_some_and(|p| {
            path.canonicalize()
                .is_ok_and(|path| path == p.folder() || path.parent() == Some(p.folder()))
        });
        self.session.save(&self.control)?;
        if is_own {
            // Its lock is this very process's: let go of it first.
            self.session = Session::new(self.session.gpu.clone());
        }
        let (session, settings) = open::open(path, scene, access, &self.session, &self.control)?;
        self.session = session;
        self.control.settings = settings.clone();
        if let Some(loaded) = &mut self.editor {
            loaded.editor.forget_views();
        }
        open::announce(&mut self.session, &settings, &self.control)?;
        Ok(true)
    }

    /// Run something that the window shows as busy, and report its end.
    fn job(&mut self, job: Job, run: impl FnOnce(&mut Self) -> Result<bool>) -> Result<()> {
        let result = Error::contained(|| {
            self.control.begin(job);
            self.control.cancel.check()?;
            run(self)
        });
        match &result {
            Err(Error::Defect(_)) => {
                if self.session.trainer.is_some() {
                    self.session.save_or_warn(&self.control);
                }
                drop_editor(&mut self.editor);
            }
            Err(Error::Gpu(_)) => drop_what_is_on_cards(&mut self.editor),
            _ => {}
        }
        let step = self.session.trainer.as_ref().map_or(0, |t| t.step_count());
        self.control.end();
        let (finished, problem) = match result {
            Ok(finished) => (finished, None),
            Err(Error::Cancelled) => (false, None),
            Err(e) => (false, Some(e)),
        };
        if let Some(problem) = problem {
            // What was to follow assumed that this had worked.
            self.control.poll();
            self.control.after.clear();
            self.control.emit(Event::Error(problem.to_string()));
        }
        self.control
            .emit(Event::Interrupted(self.session.interrupted()));
        self.control.emit(Event::Done {
            job,
            finished,
            step,
        });
        Ok(())
    }

    /// A capture without a scene is reconstructed first; the edit is remembered with that job.
    fn begin_edit(&mut self) -> Result<()> {
        let settings = self.control.settings.clone();
        settings.check_edit()?;
        if self.session.trainer.is_none() && self.session.dataset.is_some() {
            let gpu = &self.session.gpu;
            let loaded = load_editor(gpu, &mut self.editor, &settings, &self.control)?;
            if settings.loss != Loss::Auto {
                // Better refused before the scene is made than after.
                loaded.choose_loss(gpu, &settings, settings.kind, &self.control)?;
            }
            return self
                .session
                .begin_reconstruction(Some(settings), &self.control);
        }
        self.session.begin_edit(&mut self.editor, &mut self.control)
    }

    fn run_job(&mut self) -> Result<bool> {
        loop {
            let job = self.session.job.as_ref().map(|j| j.job);
            let result = self.session.run_job(&mut self.control, &mut self.editor);
            if result.is_err() && self.session.trainer.is_some() {
                self.session.save_or_warn(&self.control);
            }
            let finished = result?;
            self.write_results(job)?;
            let next = self.session.job.as_ref().and_then(|j| j.then_edit.clone());
            match next {
                Some(settings) if finished => {
                    self.control.settings = *settings;
                    self.session
                        .begin_edit(&mut self.editor, &mut self.control)?;
                    self.control
                        .emit(Event::State(RunState::Running(Job::Edit)));
                }
                _ => return Ok(finished),
            }
        }
    }

    fn write_results(&mut self, job: Option<Job>) -> Result<()> {
        let Some(folder) = self.session.project.as_ref().map(|p| p.folder().to_owned()) else {
            return Ok(());
        };
        let is_splats = self
            .session
            .trainer
            .as_ref()
            .is_some_and(|t| t.splats().is_some());
        if is_splats {
            let ply = folder.join(SCENE_FILE);
            self.session.export_live(&ply)?;
            self.control.emit(Event::Exported(ply));
        }
        if job == Some(Job::Edit) {
            let picture = folder.join("before-after.png");
            self.session.write_before_after(&picture)?;
            self.control.emit(Event::Exported(picture));
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<()> {
        let dataset = self.session.dataset()?;
        let views: Vec<_> = dataset
            .split
            .eval
            .iter()
            .map(|&i| {
                let v = &dataset.views[i];
                (v.camera, v.photo.clone(), v.mask.clone())
            })
            .collect();
        if views.is_empty() {
            return Err(Error::invalid(
                "the capture has no held-out views to measure on",
            ));
        }
        let mut judges = Judges::load(&self.session.gpu, &self.control.settings)?;
        let (mut psnr, mut ssim, mut done) = (0.0, 0.0, 0);
        for (camera, photo, mask) in &views {
            self.control.cancel.check()?;
            let image = crate::gpu::GpuImage::new(
                &self.session.gpu,
                camera.intrinsics.width,
                camera.intrinsics.height,
            );
            let gpu = self.session.gpu.clone();
            self.session.trainer()?.render(camera, None, &image)?;
            let mut render = image.read(&gpu)?;
            for v in &mut render.rgb {
                *v = v.clamp(0.0, 1.0);
            }
            let mut photo = photo.to_float();
            if let Some(mask) = mask {
                blank_masked(&mut render.rgb, mask);
                blank_masked(&mut photo.rgb, mask);
            }
            psnr += metric::psnr(&render, &photo)?;
            ssim += metric::ssim(&render, &photo, crate::loss::Padding::Valid)?;
            judges.see(&photo, &render)?;
            done += 1;
            self.control.progress(Progress {
                job: Some(Job::Evaluate),
                done,
                total: views.len() as u32,
                splats: self.session.trainer()?.splat_count(),
                ..Default::default()
            });
            self.control.poll();
        }
        let n = views.len() as f64;
        let mut metrics = Metrics {
            views: views.len() as u32,
            psnr: psnr / n,
            ssim: ssim / n,
            lpips: None,
            clip: None,
        };
        judges.tell(&mut metrics);
        self.control.emit(Event::Metrics(metrics));
        Ok(())
    }
}

/// Masked pixels agree by decree: both pictures are black there.
fn blank_masked(rgb: &mut [f32], mask: &[u8]) {
    for (pixel, &keep) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(mask) {
        if keep == 0 {
            *pixel = [0.0; 3];
        }
    }
}
