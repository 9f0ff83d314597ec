//! A scene as something that other tools open. A Luxen becomes splats in three moves: look at it from its own cameras, put
//! splats on the surface that these pictures show, and train them on the pictures for a while. Where the background is
//! known the splats are shown over black and over white in turn, so that they learn what is transparent, and none of them
//! stands in for the background.

use super::{Delivered, Delivery, Event, Job, Progress, control::Control, session::Session};
use crate::{
    Error, Result,
    edit::convert::{DepthView, Region, region_of, seeds, surface},
    formats::{self, MeshFormat, SplatFormat, splats},
    gpu::GpuImage,
    loss::Target,
    luxen::Background,
    metric,
    scene::{Camera, CropBox, DatasetKind, Photo, PointCloud, orbit::Gaze},
    settings::Settings,
    splat::{
        GrowthConfig, InitConfig, SplatTrainer, TrainConfig, ViewOrder, initialize_at, scene_extent,
    },
};
use glam::{DQuat, DVec3};
use std::{path::Path, time::Instant};

/// Opacity of splats on a surface that is known; those of a reconstruction from scratch begin nearly transparent.
const SEED_OPACITY: f32 = 0.5;
/// What is behind the splats while they learn, in turn.
const BACKGROUNDS: [[f32; 3]; 2] = [[0.0; 3], [1.0; 3]];
/// Bytes a pixel of a picture that is kept: a [`DepthView`]'s.
const VIEW_BYTES: u64 = 8;
/// Pictures may take this much memory; more of them are left out, evenly.
const MOST_VIEW_BYTES: u64 = 2 << 30;

impl Session {
    /// Write the live scene as something else. False when it was stopped; splats that had begun to learn are written then,
    /// too.
    ///
    /// # Errors
    /// When there is no scene or it has no cameras, the ending of `output` says no format, or the file cannot be written.
    pub fn deliver(
        &mut self,
        output: &Path,
        delivery: Delivery,
        control: &mut Control,
    ) -> Result<bool> {
        let crop = CropBox::parse(&control.settings.crop)?;
        let is_luxen = self.trainer()?.splats().is_none();
        if is_luxen {
            self.trainer()?.set_crop(crop)?;
        } else if crop.is_some() && delivery == Delivery::Splats {
            return Err(Error::invalid(
                "splats are written whole: a crop box is for Luxens, meshes and points",
            ));
        }
        let done = Error::contained(|| self.deliver_cropped(output, delivery, crop, control));
        if is_luxen {
            self.trainer()?.set_crop(None)?;
        }
        done
    }

    fn deliver_cropped(
        &mut self,
        output: &Path,
        delivery: Delivery,
        crop: Option<CropBox>,
        control: &mut Control,
    ) -> Result<bool> {
        match delivery {
            Delivery::Splats if self.trainer()?.splats().is_some() => {
                self.export_live(output)?;
                control.emit(Event::Exported(output.to_owned()));
                Ok(true)
            }
            Delivery::Splats => self.deliver_splats(output, control),
            Delivery::Mesh => self.deliver_mesh(output, crop, control),
            Delivery::Points => self.deliver_points(output, crop, control),
        }
    }

    fn deliver_splats(&mut self, output: &Path, control: &mut Control) -> Result<bool> {
        let format = SplatFormat::of_name(output)?;
        let settings = control.settings.clone();
        let background = self.known_background();
        let views = self.look_around(control)?;
        let mut trainer = self.seeded(&views, background, &settings)?;
        let took_all = self.learn(&mut trainer, &views, background, &settings, control)?;
        drop(views);
        let (splats, measured) = (trainer.len() as u32, self.compare(&mut trainer, control)?);
        splats::write_splats(output, &trainer.splats().download(&self.gpu)?, format)?;
        control.emit(Event::Exported(output.to_owned()));
        control.emit(Event::Delivered(Delivered {
            splats,
            steps: trainer.step_count() as u32,
            views: measured.0,
            psnr: measured.1,
        }));
        Ok(took_all)
    }

    fn deliver_mesh(
        &mut self,
        output: &Path,
        crop: Option<CropBox>,
        control: &mut Control,
    ) -> Result<bool> {
        let format = MeshFormat::of_name(output)?;
        let views = self.look_around(control)?;
        let is_closed = self.is_object(&views);
        let [low, high] = self.region(&views, crop)?;
        let region = Region {
            low,
            high,
            resolution: control.settings.mesh_resolution,
            is_closed,
        };
        let (slots, notify) = (control.slots.clone(), control.notifier());
        let progress = move |done: usize, total: usize| {
            slots.progress.put(Progress {
                job: Some(Job::Convert),
                done: done as u32,
                total: total as u32,
                detail: "fusing depths".into(),
                ..Default::default()
            });
            notify();
        };
        let mut mesh = surface(&views, &region, &progress, &control.cancel)?;
        if format == MeshFormat::Glb && self.dataset.is_none() {
            // A GLB stands upright, and captures stand along z.
            let up = control.settings.up_axis.direction();
            mesh.turn(DQuat::from_rotation_arc(up, DVec3::Z));
        }
        formats::write_mesh(output, &mesh, format)?;
        control.emit(Event::Exported(output.to_owned()));
        Ok(true)
    }

    fn deliver_points(
        &mut self,
        output: &Path,
        crop: Option<CropBox>,
        control: &mut Control,
    ) -> Result<bool> {
        if MeshFormat::of_name(output)? != MeshFormat::Ply {
            return Err(Error::file(output, "points are written as .ply"));
        }
        let views = self.look_around(control)?;
        let [low, high] = self.region(&views, crop)?;
        let mut points = PointCloud::default();
        for seed in seeds(&views) {
            if seed.position.cmpge(low).all() && seed.position.cmple(high).all() {
                points.positions.push(seed.position);
                let byte = |v: f32| (v * 255.0).round() as u8;
                points.colors.push(seed.color.map(byte));
            }
        }
        formats::write_points(output, &points)?;
        control.emit(Event::Exported(output.to_owned()));
        Ok(true)
    }

    /// Whether there is nothing behind the subject: its photos are transparent, it was cut out of its field, or a rig
    /// around a splat file sees past it.
    fn is_object(&self, views: &[DepthView]) -> bool {
        if self.dataset.is_none() {
            return sees_past(views);
        }
        if let Some(crate::edit::Drawable::Luxen(scene)) =
            self.trainer.as_ref().map(|t| t.drawable())
            && scene.crop.is_some()
        {
            return true;
        }
        let kind = self.dataset.as_ref().map(|d| d.kind);
        kind == Some(DatasetKind::Blender) && self.known_background().is_some()
    }

    /// The box that holds what is delivered: everything that is seen of an object; as much as the cameras stand around of
    /// an open scene.
    fn region(&self, views: &[DepthView], crop: Option<CropBox>) -> Result<[DVec3; 2]> {
        let is_luxen = self.trainer.as_ref().is_some_and(|t| t.splats().is_none());
        if let Some(crop) = crop.filter(|_| !is_luxen) {
            return Ok([crop.low, crop.high]);
        }
        if self.is_object(views) {
            let positions: Vec<DVec3> = seeds(views).iter().map(|s| s.position).collect();
            return region_of(&positions)
                .ok_or_else(|| Error::invalid("the scene shows no surface"));
        }
        let cameras: Vec<Camera> = views.iter().map(|v| v.camera).collect();
        let Gaze { center, radius, .. } = Gaze::of(&cameras);
        Ok([center - radius, center + radius])
    }

    /// What shines through renders; `None` where they are opaque.
    fn known_background(&self) -> Option<[f32; 3]> {
        match self.trainer.as_ref()?.drawable() {
            crate::edit::Drawable::Splats(scene) => Some(scene.background),
            crate::edit::Drawable::Luxen(scene) => match scene.config.background {
                Background::Fixed(color) => Some(color),
                Background::LastSample => scene.crop.map(|_| [0.0; 3]),
            },
        }
    }

    /// Pictures with depths from the training cameras, or from a rig around a splat file that came without; as many as fit
    /// the memory set aside for them.
    fn look_around(&mut self, control: &mut Control) -> Result<Vec<DepthView>> {
        let is_splats = self.trainer()?.splats().is_some();
        let cameras = match &self.dataset {
            None if is_splats => self.rig(None, &control.settings)?.1,
            _ => {
                let dataset = self.dataset()?;
                let train = dataset.split.train.iter();
                train.map(|&i| dataset.views[i].camera).collect()
            }
        };
        let pixels = |c: &Camera| u64::from(c.intrinsics.width) * u64::from(c.intrinsics.height);
        let bytes: u64 = cameras.iter().map(|c| pixels(c) * VIEW_BYTES).sum();
        let stride = bytes.div_ceil(MOST_VIEW_BYTES).max(1) as usize;
        let background = self.known_background();
        let gpu = self.gpu.clone();
        let total = cameras.len().div_ceil(stride);
        let mut views = Vec::with_capacity(total);
        for camera in cameras.iter().step_by(stride) {
            control.cancel.check()?;
            views.push(DepthView::of(&gpu, self.trainer()?, camera, background)?);
            tell(control, (views.len(), total), "looking at the scene");
            self.run_between(control);
        }
        Ok(views)
    }

    fn seeded(
        &self,
        views: &[DepthView],
        background: Option<[f32; 3]>,
        settings: &Settings,
    ) -> Result<SplatTrainer> {
        let steps = u64::from(settings.convert_steps);
        let cap = self.splat_cap(settings)?;
        let config = TrainConfig {
            seed: settings.seed,
            ..TrainConfig::reconstruct(
                steps,
                scene_extent(views.iter().map(|v| &v.camera)),
                background.unwrap_or_default(),
            )
        };
        let mut config = super::jobs::growing(config, settings, cap, steps, views.len());
        // The surface is known: nothing has to be made transparent to see what comes back.
        config.growth = GrowthConfig {
            reset_interval: 0,
            ..config.growth
        };
        let init = InitConfig {
            seed: settings.seed,
            sh_degree: settings.sh_degree,
            most: cap.splats,
            opacity: SEED_OPACITY,
            ..Default::default()
        };
        let splats = initialize_at(seeds(views), &init)?;
        SplatTrainer::new(self.gpu.clone(), splats, config)
    }

    /// Train splats on pictures. False when it was stopped after some steps.
    fn learn(
        &mut self,
        trainer: &mut SplatTrainer,
        views: &[DepthView],
        background: Option<[f32; 3]>,
        settings: &Settings,
        control: &mut Control,
    ) -> Result<bool> {
        let behind: &[[f32; 3]] = match background {
            Some(_) => &BACKGROUNDS,
            None => &BACKGROUNDS[..1],
        };
        let upload = |view: &DepthView, color: [f32; 3]| {
            let k = view.camera.intrinsics;
            let photo = Photo::new(k.width, k.height, view.over(color));
            Target::upload(&self.gpu, &photo, None)
        };
        let mut targets = Vec::with_capacity(views.len());
        for view in views {
            let of_view: Result<Vec<Target>> = behind.iter().map(|&c| upload(view, c)).collect();
            targets.push(of_view?);
        }
        let shown = TrainConfig {
            background: background.unwrap_or_default(),
            ..*trainer.config()
        };
        let mut order = ViewOrder::new(settings.seed);
        let steps = settings.convert_steps;
        let began = Instant::now();
        for step in 0..steps {
            if control.is_stopping() {
                if step == 0 {
                    return Err(Error::Cancelled);
                }
                break;
            }
            let Some(view) = order.next(views.len()) else {
                break;
            };
            let which = step as usize % behind.len();
            if background.is_some() {
                trainer.set_config(TrainConfig {
                    background: behind[which],
                    ..*trainer.config()
                })?;
            }
            trainer.step(&views[view].camera, &targets[view][which])?;
            let secs = began.elapsed().as_secs_f64() / f64::from(step + 1);
            control.progress(Progress {
                job: Some(Job::Convert),
                done: step + 1,
                total: steps,
                steps_per_sec: 1.0 / secs.max(1e-9),
                eta_secs: Some(secs * f64::from(steps - step - 1)),
                loss: trainer.take_results().last().map(|r| r.loss),
                splats: trainer.len() as u32,
                ..Default::default()
            });
            control.poll();
            self.run_between(control);
        }
        trainer.set_config(shown)?;
        Ok(trainer.step_count() == u64::from(steps))
    }

    /// Held-out views that splats were compared with the scene from, and the mean PSNR, dB; none where nothing is held
    /// out.
    fn compare(
        &mut self,
        splats: &mut SplatTrainer,
        control: &mut Control,
    ) -> Result<(u32, Option<f64>)> {
        let dataset = self.dataset()?;
        let held_out = dataset.split.eval.iter();
        let cameras: Vec<Camera> = held_out.map(|&i| dataset.views[i].camera).collect();
        let gpu = self.gpu.clone();
        let mut sum = 0.0;
        for (done, camera) in cameras.iter().enumerate() {
            let image = GpuImage::new(&gpu, camera.intrinsics.width, camera.intrinsics.height);
            self.trainer()?.render(camera, None, &image)?;
            let wanted = image.read(&gpu)?;
            splats.render(camera, &image)?;
            sum += metric::psnr(&image.read(&gpu)?, &wanted)?;
            tell(control, (done + 1, cameras.len()), "comparing");
        }
        let mean = (!cameras.is_empty()).then(|| sum / cameras.len() as f64);
        Ok((cameras.len() as u32, mean))
    }
}

/// Whether most of what pictures show at their borders is transparent.
fn sees_past(views: &[DepthView]) -> bool {
    let (mut clear, mut all) = (0, 0);
    for view in views {
        let k = view.camera.intrinsics;
        let (width, height) = (k.width as usize, k.height as usize);
        for (at, [.., alpha]) in view.rgba.iter().enumerate() {
            let (x, y) = (at % width, at / width);
            if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
                all += 1;
                clear += usize::from(*alpha < 128);
            }
        }
    }
    2 * clear > all
}

fn tell(control: &mut Control, (done, total): (usize, usize), detail: &str) {
    control.progress(Progress {
        job: Some(Job::Convert),
        done: done as u32,
        total: total as u32,
        detail: detail.into(),
        ..Default::default()
    });
    control.poll();
}
