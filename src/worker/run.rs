//! The worker thread's outer loop: wait for a command, do it, tell how it ended. A failing job costs the job, never the
//! session.

use super::{
    Command, Event, Job, Metrics, Slots,
    control::Control,
    jobs::LoadedEditor,
    open::{self, attach_splats, restore_state},
    session::Session,
};
use crate::{
    Error, Result,
    edit::TrainableScene,
    gpu::Gpu,
    metric,
};
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;

pub struct Worker {
    session: Session,
    control: Control,
    editor: Option<LoadedEditor>,
}

impl Worker {
    pub fn new(
        gpu: Arc<Gpu>,
        commands: Receiver<Command>,
        events: Sender<Event>,
        slots: Slots,
        notify: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            session: Session::new(gpu),
            control: Control::new(commands, events, slots, notify),
            editor: None,
        }
    }

    pub fn run(mut self) {
        loop {
            self.session.run_between(&mut self.control);
            match self.control.after.pop_front() {
                Some(command) => {
                    if let Err(e) = self.execute(command) {
                        self.control.emit(Event::Error(e.to_string()));
                    }
                }
                None if self.control.shutting_down => break,
                None => self.control.wait(),
            }
        }
        if let Err(e) = self.session.save(&self.control) {
            self.control.emit(Event::Error(format!("the project was not saved: {e}")));
        }
    }

    fn execute(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Open(path) => self.job(Job::Open, |w| {
                if w.session.project.is_some() {
                    w.session.save(&w.control)?;
                }
                let session = open::open(&path, &w.session, &mut w.control)?;
                w.session = session;
                if let Some(loaded) = &mut w.editor {
                    loaded.editor.forget_views();
                }
                Ok(true)
            }),
            Command::AttachSplats(path) => self.job(Job::Open, |w| {
                let had_splats = w.session.trainer.is_some();
                attach_splats(&path, &mut w.session, &w.control)?;
                w.session.job = None;
                if !had_splats {
                    w.control.emit(Event::SplatsReady);
                }
                w.session.draw_live(&w.control);
                Ok(true)
            }),
            Command::Reconstruct => self.job(Job::Reconstruct, |w| {
                w.session.begin_reconstruction(&w.control)?;
                w.run_job()
            }),
            Command::Edit => self.job(Job::Edit, |w| {
                w.session.begin_edit(&w.control)?;
                w.run_job()
            }),
            Command::ResumeJob => {
                let job = self.session.job.as_ref().map_or(Job::Edit, |j| j.job);
                self.job(job, Self::run_job)
            }
            Command::Restore(id) => {
                let record = self.session.snapshot_state(id)?;
                restore_state(&mut self.session, &record)?;
                self.session.job = None;
                if let Some(project) = &mut self.session.project {
                    project.manifest.current = Some(id);
                    project.manifest.live = Some(record);
                }
                self.session.save(&self.control)?;
                self.session.show(None, &self.control)?;
                self.control.emit(Event::Restored(id));
                Ok(())
            }
            Command::EditImage { image, output } => self.job(Job::EditImage, |w| {
                w.session
                    .edit_picture(&image, &output, &mut w.editor, &mut w.control)
                    .map(|()| true)
            }),
            Command::Render {
                cameras,
                folder,
                format,
            } => self.job(Job::Render, |w| {
                w.session
                    .render_pictures(cameras.as_deref(), &folder, format, &mut w.control)
                    .map(|()| true)
            }),
            Command::Evaluate => self.job(Job::Evaluate, |w| w.evaluate().map(|()| true)),
            other => Err(Error::Invalid(format!("{other:?} cannot wait for a job's end"))),
        }
    }

    /// Run something that the window shows as busy, and report its end.
    fn job(&mut self, job: Job, run: impl FnOnce(&mut Self) -> Result<bool>) -> Result<()> {
        self.control.begin(job);
        let result = run(self);
        let step = self
            .session
            .trainer
            .as_ref()
            .map_or(0, TrainableScene::step_count);
        self.control.end();
        let (finished, outcome) = match result {
            Ok(finished) => (finished, Ok(())),
            Err(Error::Cancelled) => (false, Ok(())),
            Err(e) => (false, Err(e)),
        };
        if let Err(e) = outcome {
            self.control.emit(Event::Error(e.to_string()));
        }
        self.control.emit(Event::Done {
            job,
            finished,
            step,
        });
        Ok(())
    }

    fn run_job(&mut self) -> Result<bool> {
        let job = self.session.job.as_ref().map(|j| j.job);
        let result = self.session.run_job(&mut self.control, &mut self.editor);
        if matches!(result, Err(ref e) if !matches!(e, Error::Cancelled))
            && self.session.trainer.is_some()
            && let Err(e) = self.session.save(&self.control)
        {
            self.control
                .emit(Event::Warning(format!("the project was not saved: {e}")));
        }
        let result = result?;
        let Some(folder) = self.session.project.as_ref().map(|p| p.folder().to_owned()) else {
            return Ok(result);
        };
        let ply = folder.join("scene.ply");
        self.session.export(&ply)?;
        self.control.emit(Event::Exported(ply));
        if job == Some(Job::Edit) {
            let picture = folder.join("before-after.png");
            self.session.write_before_after(&picture)?;
            self.control.emit(Event::Exported(picture));
        }
        Ok(result)
    }

    fn evaluate(&mut self) -> Result<()> {
        let dataset = self.session.dataset()?;
        let views: Vec<_> = dataset
            .split
            .eval
            .iter()
            .map(|&i| (dataset.views[i].camera, dataset.views[i].photo.clone()))
            .collect();
        if views.is_empty() {
            return Err(Error::invalid("the capture has no held-out views to measure on"));
        }
        let (mut psnr, mut ssim) = (0.0, 0.0);
        for (camera, photo) in &views {
            self.control.cancel.check()?;
            let image = crate::gpu::GpuImage::new(
                &self.session.gpu,
                camera.intrinsics.width,
                camera.intrinsics.height,
            );
            let gpu = self.session.gpu.clone();
            TrainableScene::render(self.session.trainer()?, camera, &image)?;
            let mut render = image.read(&gpu)?;
            for v in &mut render.rgb {
                *v = v.clamp(0.0, 1.0);
            }
            let photo = photo.to_float();
            psnr += metric::psnr(&render, &photo)?;
            ssim += metric::ssim(&render, &photo, crate::loss::Padding::Valid)?;
            self.control.poll();
        }
        let n = views.len() as f64;
        self.control.emit(Event::Metrics(Metrics {
            views: views.len() as u32,
            psnr: psnr / n,
            ssim: ssim / n,
        }));
        Ok(())
    }
}
