//! How long a job still takes: an artist who knows that waits, or stops now. A run's first edit tunes kernels and the first
//! after a stop may have been ready before, so neither may stand for those to come.

use super::{Job, Progress, project::JobRecord};

/// A mean that forgets: of the first values it is the plain mean.
#[derive(Default)]
struct Average {
    mean: Option<f64>,
    values: u32,
}

impl Average {
    const LEAST_WEIGHT: f64 = 0.05;

    fn take(&mut self, value: f64) {
        self.values = self.values.saturating_add(1);
        let weight = (1.0 / f64::from(self.values)).max(Self::LEAST_WEIGHT);
        self.mean = Some(
            self.mean
                .map_or(value, |mean| mean + weight * (value - mean)),
        );
    }
}

/// How fast things go: moving averages, so that the estimate follows a change of load within seconds.
#[derive(Default)]
pub(super) struct Pace {
    step_secs: Average,
    edit_secs: Average,
    /// What each of the edits took that were last denoised together, beyond what it takes by itself.
    shared_secs: f64,
    /// Steps of this run, and edits, together or alone, that were denoised when they were asked for.
    steps: u32,
    denoised: u32,
    /// The most splats, once the artist has been told that there are so many.
    pub splat_cap: Option<u32>,
}

impl Pace {
    pub fn step_took(&mut self, secs: f64) {
        self.steps = self.steps.saturating_add(1);
        if self.steps == 2 {
            self.step_secs = Average::default();
        }
        self.step_secs.take(secs);
    }

    /// Take in an edit: `together` views were denoised in `secs`, or 0 where that was done before. What this one took.
    pub fn edit_took(&mut self, secs: f64, together: usize) -> f64 {
        let took = match together {
            0 => secs + self.shared_secs,
            1 => {
                self.shared_secs = 0.0;
                secs
            }
            views => {
                self.shared_secs = secs / views as f64;
                self.shared_secs
            }
        };
        if together > 0 {
            self.denoised = self.denoised.saturating_add(1);
            if self.denoised <= 2 {
                self.edit_secs = Average::default();
            }
        }
        self.edit_secs.take(took);
        took
    }

    pub fn progress(
        &self,
        job: &JobRecord,
        step: u32,
        splats: u32,
        loss: Option<f32>,
        detail: String,
    ) -> Progress {
        let total = job.end_step - job.start_step;
        let done = step.saturating_sub(job.start_step);
        let edits = match job.job {
            Job::Edit => job.schedule.edits_ahead(&job.settings, total),
            _ => 0,
        };
        let eta_secs = self.step_secs.mean.and_then(|step_secs| {
            let edit_secs = match (edits, self.edit_secs.mean) {
                (0, _) => 0.0,
                (n, Some(secs)) => n as f64 * secs,
                (_, None) => return None,
            };
            Some(f64::from(total.saturating_sub(done)) * step_secs + edit_secs)
        });
        Progress {
            job: Some(job.job),
            done,
            total,
            steps_per_sec: self.step_secs.mean.map_or(0.0, |s| 1.0 / s.max(1e-9)),
            eta_secs,
            loss,
            splats,
            splat_cap: self.splat_cap,
            waiting: None,
            detail,
        }
    }
}
