//! The two long jobs, reconstruct and edit, as one loop: plan a step, edit a view if the plan says so, take the step, keep
//! the artist informed, save. Between any two steps the loop listens; during an edit it listens after every denoising
//! step.

use super::{
    Event, Job, Progress,
    control::Control,
    loaded_editor::{LoadedEditor, load_editor, loaded, wait_beside},
    pace::Pace,
    project::JobRecord,
    session::{Edited, Session},
    view_edit::{ToldEdit, instruction},
};
use crate::{
    Error, Result,
    bundle::Bundle,
    edit::{Denoised, Drawable, EditUpdate, Schedule, StepPlan, TrainableScene, Turn, Watch},
    loss::NetworkGradient,
    luxen::{LuxenConfig, LuxenMemory, LuxenTrainer},
    settings::{Antialias, Loss, PoseRefinement, SceneKind, Settings},
    splat::{
        GrowthConfig, InitConfig, PoseRates, SplatCap, SplatTrainer, TrainConfig, initialize,
        scene_extent,
    },
};
use std::time::{Duration, Instant};

/// Bytes that any machine has to spare.
const WORTH_TELLING: u64 = 1 << 30;

impl Session {
    /// Prepare a reconstruction from the open capture; `then_edit` is the edit that follows it.
    ///
    /// # Errors
    /// When no capture is open, it has no training views, or the project folder cannot be written.
    pub fn begin_reconstruction(
        &mut self,
        then_edit: Option<Settings>,
        control: &Control,
    ) -> Result<()> {
        let settings = control.settings.clone();
        let views = self.training_views()?;
        let steps = settings.planned_steps(self.gpu.is_software());
        let trainer: Box<dyn TrainableScene> = match settings.kind {
            SceneKind::Splat => Box::new(self.begin_splats(&settings, steps)?),
            SceneKind::Luxen => {
                let dataset = self.dataset()?;
                let config = LuxenConfig::of(&settings, dataset, self.gpu.is_software(), steps);
                if let Some(text) = LuxenConfig::explanation(&settings, self.gpu.is_software()) {
                    control.emit(Event::Note(text));
                }
                self.tell_memory(&config, control)?;
                Box::new(LuxenTrainer::new(self.gpu.clone(), config, views as u32)?)
            }
        };
        self.ensure_project(control)?;
        self.keep_live("Before the reconstruction", &[], control)?;
        self.job = None;
        if let Some(project) = &mut self.project {
            project.manifest.current = None;
        }
        self.touch();
        self.forget_edits()?;
        self.trainer = Some(trainer);
        self.scene_file = None;
        self.job = Some(JobRecord {
            job: Job::Reconstruct,
            start_step: 0,
            end_step: steps,
            schedule: Schedule::new(settings.seed, views),
            settings,
            then_edit: then_edit.map(Box::new),
        });
        control.emit(Event::SplatsReady);
        Ok(())
    }

    fn begin_splats(&self, settings: &Settings, steps: u32) -> Result<SplatTrainer> {
        let dataset = self.dataset()?;
        let extent = scene_extent(
            dataset
                .split
                .train
                .iter()
                .map(|&i| &dataset.views[i].camera),
        );
        let cap = self.splat_cap(settings)?;
        let config = TrainConfig {
            seed: settings.seed,
            pose_rates: match settings.refine_poses {
                PoseRefinement::Off => PoseRates::OFF,
                PoseRefinement::On => PoseRates::ON,
            },
            ..TrainConfig::reconstruct(u64::from(steps), extent, dataset.background)
        };
        let config = growing(
            config,
            settings,
            cap,
            u64::from(steps),
            dataset.split.train.len(),
        );
        let init = InitConfig {
            seed: settings.seed,
            sh_degree: settings.sh_degree,
            antialiased: settings.antialias == Antialias::On,
            random_count: settings.splat_count,
            most: cap.splats,
            ..Default::default()
        };
        let splats = initialize(dataset, &init)?;
        SplatTrainer::new(self.gpu.clone(), splats, config)
    }

    /// Prepare an edit of the open scene.
    ///
    /// # Errors
    /// When the settings are refused, the model cannot be read, or there is no capture or no scene. The scene and an
    /// interrupted job then stay as they are.
    pub fn begin_edit(
        &mut self,
        editor: &mut Option<LoadedEditor>,
        control: &mut Control,
    ) -> Result<()> {
        let mut settings = control.settings.clone();
        settings.check_edit()?;
        let views = self.training_views()?;
        let kind = self.trainer()?.kind();
        let loaded = load_editor(&self.gpu, editor, &settings, control)?;
        settings.loss = loaded.choose_loss(&self.gpu, &settings, kind, control)?;
        control.poll();
        control.cancel.check()?;
        self.ensure_project(control)?;
        self.keep_live("Before the edit", &[], control)?;
        let trainer = self.trainer()?;
        trainer.begin_refinement(&settings)?;
        if let Drawable::Luxen(scene) = trainer.drawable() {
            self.tell_memory(&scene.config, control)?;
        }
        let trainer = self.trainer()?;
        let start_step = trainer.step_count();
        self.is_saved = false;
        self.job = Some(JobRecord {
            job: Job::Edit,
            start_step,
            end_step: start_step + settings.edit_steps,
            schedule: Schedule::new(settings.seed, views),
            settings,
            then_edit: None,
        });
        Ok(())
    }

    /// The most splats that a reconstruction of the open capture may have.
    pub(super) fn splat_cap(&self, settings: &Settings) -> Result<SplatCap> {
        let dataset = self.dataset()?;
        let mut pixels: Vec<u64> = dataset
            .split
            .train
            .iter()
            .map(|&i| &dataset.views[i].photo)
            .map(|photo| u64::from(photo.width) * u64::from(photo.height))
            .collect();
        pixels.sort_unstable();
        let median = pixels.get(pixels.len() / 2).copied().unwrap_or(0);
        let starting = match &dataset.points {
            Some(points) => u32::try_from(points.positions.len()).unwrap_or(u32::MAX),
            None => settings.splat_count,
        };
        Ok(SplatCap::choose(
            &self.gpu,
            settings.max_splats,
            settings.splat_memory_mib,
            settings.sh_degree,
            median,
            starting,
        ))
    }

    /// Say what a Luxen takes, where that is much, and what the adapter cannot do for it.
    fn tell_memory(&self, config: &LuxenConfig, control: &Control) -> Result<()> {
        if let Some(notice) = config.tables.notice(&self.gpu) {
            control.emit(Event::Note(notice));
        }
        let dataset = self.dataset()?;
        let sizes: Vec<[u32; 2]> = dataset
            .split
            .train
            .iter()
            .map(|&i| &dataset.views[i].photo)
            .map(|photo| [photo.width, photo.height])
            .collect();
        let memory = LuxenMemory::of(config, &sizes, self.gpu.binding_limit())?;
        if memory.total() >= WORTH_TELLING {
            control.emit(Event::Note(format!("the Luxen takes {memory}")));
        }
        Ok(())
    }

    fn training_views(&self) -> Result<usize> {
        match self.dataset()?.split.train.len() {
            0 => Err(Error::invalid(
                "the capture has no training views: all its photos are held out",
            )),
            views => Ok(views),
        }
    }

    /// Run the prepared job to its end or to a stop. True when it reached its end.
    ///
    /// # Errors
    /// What ended the job; everything up to the last step stays in memory.
    pub fn run_job(
        &mut self,
        control: &mut Control,
        editor: &mut Option<LoadedEditor>,
    ) -> Result<bool> {
        let job = self.job()?.job;
        let views = self.training_views()?;
        let planned = self.job()?.schedule.views();
        if views != planned {
            return Err(Error::Invalid(format!(
                "the job was begun with {planned} training views and the capture now has {views}: put the missing \
                 photos back, or start anew"
            )));
        }
        self.adopt_settings(control, adopt_model);
        self.adopt_live_settings(control);
        self.save(control)?;
        self.load_for_job(editor, control)?;
        // A pause may free the model that the last edits were made with.
        let mut model_hash = hash_of(editor);
        self.show(None, control)?;
        let mut pace = Pace::default();
        if job == Job::Reconstruct && !self.is_kept {
            self.keep_snapshot(&model_hash, control);
        }
        loop {
            self.listen(control, editor);
            if control.is_stopping() {
                if !self.is_kept {
                    self.keep_snapshot(&model_hash, control);
                }
                self.save(control)?;
                return Ok(false);
            }
            self.adopt_live_settings(control);
            let step = self.trainer()?.step_count();
            let record = self.job()?;
            if step >= record.end_step {
                let is_last = record.then_edit.is_none();
                if !self.is_kept {
                    self.keep_snapshot(&model_hash, control);
                }
                self.tell_losses(control)?;
                if is_last {
                    self.job = None;
                }
                self.save(control)?;
                return Ok(true);
            }
            if job == Job::Edit && editor.is_none() {
                self.load_for_job(editor, control)?;
                let loaded = hash_of(editor);
                if loaded != model_hash {
                    control.emit(Event::Warning(
                        "the edit model's files have changed during the pause; the edit goes on with the new ones".into(),
                    ));
                    model_hash = loaded;
                }
            }
            let record = self.job()?;
            let settings = record.settings.clone();
            let plan = match job {
                Job::Edit => record.schedule.plan_edit(&settings),
                _ => StepPlan::Step {
                    position: record.schedule.shuffled_view(),
                },
            };
            match self.take_step(&plan, &settings, control, editor, &mut pace) {
                Err(Error::Cancelled) => continue,
                other => other?,
            }
            let step = self.trainer()?.step_count();
            let took_step = !matches!(plan, StepPlan::EditOnly { .. });
            if took_step
                && step.is_multiple_of(settings.snapshot_interval)
                && step < self.job()?.end_step
            {
                self.keep_snapshot(&model_hash, control);
            }
            if self.last_save.elapsed() >= Duration::from_secs(u64::from(settings.autosave_secs)) {
                self.save_or_warn(control);
            }
        }
    }

    pub(super) fn job(&mut self) -> Result<&mut JobRecord> {
        self.job.as_mut().ok_or_else(|| {
            Error::invalid("the project was not interrupted: there is nothing to resume")
        })
    }

    /// The networks that the job needs.
    fn load_for_job(
        &mut self,
        editor: &mut Option<LoadedEditor>,
        control: &mut Control,
    ) -> Result<()> {
        let record = self.job()?;
        if record.job == Job::Edit {
            let settings = record.settings.clone();
            let kind = self.trainer()?.kind();
            load_editor(&self.gpu, editor, &settings, control)?
                .choose_loss(&self.gpu, &settings, kind, control)?;
        }
        Ok(())
    }

    /// Take in commands; while paused, save once and wait for them.
    fn listen(&mut self, control: &mut Control, editor: &mut Option<LoadedEditor>) {
        control.poll();
        self.run_between(control);
        if control.is_paused() && !control.is_stopping() {
            self.save_or_warn(control);
        }
        while control.is_paused() && !control.is_stopping() {
            wait_beside(editor, control);
            self.run_between(control);
        }
    }

    /// While paused within an edit, wait for commands. True when the edit should be begun anew later, because its model lies
    /// on a card and nobody is there.
    fn is_left_paused(&mut self, control: &mut Control, on_card: bool) -> bool {
        while control.is_paused() && !control.is_stopping() {
            if !on_card {
                control.wait();
            } else if control.is_left_alone() {
                return true;
            }
            self.run_between(control);
        }
        false
    }

    /// Prompt and guidances may change while the job runs, and where the model runs before it goes on; the rest of the
    /// settings stays as the job began. An emptied prompt is no instruction: the last one holds.
    fn adopt_live_settings(&mut self, control: &Control) {
        self.adopt_settings(control, adopt);
    }

    fn adopt_settings(&mut self, control: &Control, adopt: fn(&mut Settings, &Settings)) {
        let Some(job) = &mut self.job else { return };
        adopt(&mut job.settings, &control.settings);
        if let Some(then_edit) = &mut job.then_edit {
            adopt(then_edit, &control.settings);
        }
    }

    fn take_step(
        &mut self,
        plan: &StepPlan,
        settings: &Settings,
        control: &mut Control,
        editor: &mut Option<LoadedEditor>,
        pace: &mut Pace,
    ) -> Result<()> {
        if let StepPlan::EditAndStep { position, sweep } | StepPlan::EditOnly { position, sweep } =
            *plan
        {
            if matches!(plan, StepPlan::EditOnly { .. }) {
                self.look_ahead(settings, control, loaded(editor)?)?;
            }
            self.edit_view(position, sweep, settings, control, loaded(editor)?, pace)?;
        }
        let position = match *plan {
            StepPlan::EditOnly { .. } => {
                self.job()?.schedule.finish_edit(settings);
                self.touch();
                return Ok(());
            }
            StepPlan::EditAndStep { position, .. }
            | StepPlan::Step { position }
            | StepPlan::Distill { position, .. } => position,
        };
        let began = Instant::now();
        let view = self.dataset()?.split.train[position];
        let views = self.train_views()?;
        let job = self.job()?;
        let is_edit = job.job == Job::Edit;
        let drawn = if is_edit {
            job.schedule.drawn_views(plan, settings)
        } else {
            (0..views.len()).collect()
        };
        let turn = Turn {
            views: &views,
            position,
            drawn: &drawn,
        };
        let gradient = match *plan {
            StepPlan::Distill {
                sweep, is_shown, ..
            } => Some(NetworkGradient::View(self.distill_view(
                view,
                sweep,
                is_shown,
                settings,
                control,
                loaded(editor)?,
            )?)),
            _ if is_edit && settings.loss == Loss::L1Lpips => {
                Some(self.perceptual_gradient(turn, loaded(editor)?)?)
            }
            _ => None,
        };
        let trainer = self.trainer()?;
        if let Some(cap) = trainer.step(turn, gradient.as_ref())?
            && pace.splat_cap.is_none()
        {
            pace.splat_cap = Some(cap.splats);
            control.emit(Event::Warning(cap.reached()));
        }
        // The next sweep step renders and so waits anyway; here the wait makes the step's time its own.
        if matches!(plan, StepPlan::EditAndStep { .. }) {
            trainer.finish()?;
        }
        let splats = trainer.splat_count();
        let step = trainer.step_count();
        self.touch();
        let job = self.job()?;
        if matches!(
            plan,
            StepPlan::EditAndStep { .. } | StepPlan::Distill { .. }
        ) {
            job.schedule.finish_edit(settings);
        }
        job.schedule.finish_step(plan);
        pace.step_took(began.elapsed().as_secs_f64());
        let progress = pace.progress(job, step, splats, None, String::new());
        let progress = Progress {
            loss: self.tell_losses(control)?,
            ..progress
        };
        control.progress(progress);
        self.draw_live(control);
        Ok(())
    }

    /// Let editors that can begin with the views that come next, as long as no step is taken between.
    fn look_ahead(
        &mut self,
        settings: &Settings,
        control: &Control,
        editor: &mut LoadedEditor,
    ) -> Result<()> {
        let foresight = editor.editor.foresight();
        if foresight == 0 {
            return Ok(());
        }
        let edits = self
            .job()?
            .schedule
            .edits_without_step(settings, 1 + foresight);
        for (position, draw) in edits {
            control.cancel.check()?;
            let dataset = self.dataset()?;
            let view = dataset.split.train[position];
            let original = dataset.views[view].photo.clone();
            let instruction = instruction(settings, draw);
            if !editor.editor.is_prepared(view, &instruction) {
                let render = self.render_view(view)?;
                editor
                    .editor
                    .prepare(view, &render, &original, &instruction)?;
            }
        }
        Ok(())
    }

    /// Render one training view, edit it, let it replace the training picture.
    fn edit_view(
        &mut self,
        position: usize,
        sweep: u32,
        settings: &Settings,
        control: &mut Control,
        editor: &mut LoadedEditor,
        pace: &mut Pace,
    ) -> Result<()> {
        let began = Instant::now();
        let dataset = self.dataset()?;
        let views = dataset.split.train.len();
        let view = dataset.split.train[position];
        let original = dataset.views[view].photo.clone();
        let gpu = self.gpu.clone();
        let render = self.render_view(view)?;
        let trainer = self.trainer()?;
        let step = trainer.step_count();
        let splats = trainer.splat_count();
        let job = self.job()?;
        let draw = job.schedule.draw_edit(settings);
        let mut progress = pace.progress(job, step, splats, None, String::new());
        let instruction = instruction(settings, draw);
        let cancel = control.cancel.part();
        let on_card = editor.editor.card().is_some();
        let mut paused = Duration::ZERO;
        let mut together = 0;
        let edited = editor.editor.edit(
            view,
            &render,
            &original,
            &instruction,
            &mut Watch {
                cancel: &cancel,
                wants_previews: false,
                on_update: &mut |update| {
                    progress.waiting = None;
                    match update {
                        EditUpdate::Denoised(Denoised {
                            done,
                            steps,
                            views: edits,
                            ..
                        }) => {
                            together = edits;
                            progress.detail = format!(
                                "editing view {} of {views}, denoising {done} of {steps}",
                                position + 1
                            );
                        }
                        EditUpdate::Waiting(reason) => progress.waiting = Some(reason),
                        EditUpdate::Preparing(what) => progress.detail = what,
                        EditUpdate::Resumed => {}
                    }
                    control.progress(progress.clone());
                    control.poll();
                    self.run_between(control);
                    let pausing = Instant::now();
                    if self.is_left_paused(control, on_card) {
                        cancel.cancel();
                    }
                    paused += pausing.elapsed();
                },
            },
        )?;
        let took = began.elapsed().saturating_sub(paused);
        let duration_secs = pace.edit_took(took.as_secs_f64(), together);
        let render = render.read(&gpu)?.to_photo();
        let edited = self.masked_by_photo(view, edited)?;
        let told = ToldEdit {
            view,
            sweep,
            draw,
            render,
            edited: edited.to_photo(),
            duration_secs,
        };
        let (edited, file) = self.keep_edit(told, settings, control)?;
        self.set_edited(
            view,
            Some(Edited {
                file,
                photo: edited,
            }),
        )
    }

    /// Tell the losses of the steps that finished; the newest is returned.
    fn tell_losses(&mut self, control: &Control) -> Result<Option<f32>> {
        let results = self.trainer()?.take_losses();
        for result in &results {
            control.emit(Event::Loss {
                step: result.step as u32,
                loss: result.loss,
            });
        }
        Ok(results.last().map(|r| r.loss))
    }

    /// A snapshot of the running job. One that fails for want of disk must not end the run.
    fn keep_snapshot(&mut self, model_hash: &str, control: &Control) {
        let (label, settings) = match &self.job {
            Some(job) if job.job == Job::Edit => {
                (job.settings.prompt.clone(), job.settings.clone())
            }
            Some(job) => ("Reconstruction".to_owned(), job.settings.clone()),
            None => ("Scene".to_owned(), control.settings.clone()),
        };
        if let Err(e) = self.take_snapshot(&label, &settings, model_hash, &[], control) {
            control.emit(Event::Warning(format!(
                "the snapshot was not kept: {e}. The run goes on"
            )));
        }
    }

    pub fn save_or_warn(&mut self, control: &Control) {
        if let Err(e) = Error::contained(|| self.save(control)) {
            control.emit(Event::Warning(format!(
                "the project was not saved: {e}. luxedit goes on, and saves again later"
            )));
        }
    }
}

/// Of the weights; empty where there is no edit model.
fn hash_of(editor: &Option<LoadedEditor>) -> String {
    let hash = editor.as_ref().map(|loaded| loaded.editor.model_hash());
    hash.unwrap_or_default().to_owned()
}

/// `config` with the settings of how the set of splats grows.
pub(super) fn growing(
    config: TrainConfig,
    settings: &Settings,
    cap: SplatCap,
    steps: u64,
    training_views: usize,
) -> TrainConfig {
    let min_opacity = settings.min_opacity as f32;
    let growth = GrowthConfig {
        gradient: settings.growth_gradient as f32,
        gradient_sum: settings.gradient_sum,
        dead_opacity: min_opacity,
        reset_opacity: (2.0 * min_opacity).max(0.01),
        ..GrowthConfig::new(settings.strategy, cap, steps, training_views as u64)
    };
    let mut config = config.growing(growth);
    config.prune.min_opacity = min_opacity;
    config
}

/// What may change between two runs of a job.
fn adopt_model(settings: &mut Settings, live: &Settings) {
    let is_known =
        || live.edit_device.is_remote() || Bundle::find().model_path(&live.model).is_ok();
    if live.model != settings.model && is_known() {
        settings.model.clone_from(&live.model);
    }
    settings.edit_device.clone_from(&live.edit_device);
    settings.precision = live.precision;
}

/// What may change while a job runs.
fn adopt(settings: &mut Settings, live: &Settings) {
    if !live.prompt.trim().is_empty() {
        settings.prompt.clone_from(&live.prompt);
    }
    settings.guidance_scale = live.guidance_scale;
    settings.image_guidance_scale = live.image_guidance_scale;
    settings.photo_detail = live.photo_detail;
    settings.edited_side = live.edited_side;
    settings.snapshot_interval = live.snapshot_interval;
    settings.snapshot_limit = live.snapshot_limit;
    settings.snapshot_budget_mib = live.snapshot_budget_mib;
    settings.autosave_secs = live.autosave_secs;
}
