//! How long a job still takes: an artist who knows that waits, or stops now. A run's first edit tunes kernels and the first
//! after a stop may have been ready before, so neither may stand for those to come.

use super::{Job, Progress, project::JobRecord};

/// A moving average. The first value holds until there is a second: kernels are tuned in it, or it was ready before.
#[derive(Default)]
pub(super) struct Average {
    mean: Option<f64>,
    values: u32,
}

impl Average {
    const LEAST_WEIGHT: f64 = 0.05;

    pub fn take(&mut self, value: f64) {
        let older = self.values.saturating_sub(1);
        let weight = (1.0 / f64::from(older + 1)).max(Self::LEAST_WEIGHT);
        self.values = self.values.saturating_add(1);
        self.mean = Some(
            self.mean
                .map_or(value, |mean| mean + weight * (value - mean)),
        );
    }
}

/// How fast things go: moving averages, so that the estimate follows a change of load within seconds.
#[derive(Default)]
pub(super) struct Pace {
    pub step_secs: Average,
    pub edit_secs: Average,
    /// What each of the edits took that were last denoised together, beyond what it takes by itself.
    shared_secs: f64,
    /// Edits, together or alone, that were denoised when they were asked for.
    denoised: u32,
    /// The most splats, once the artist has been told that there are so many.
    pub splat_cap: Option<u32>,
}

impl Pace {
    /// The part in `secs` of an edit that was denoised with others: `together` of them, or 0 where it was done before.
    pub fn share(&mut self, secs: f64, together: usize) -> f64 {
        if together > 0 {
            self.denoised = self.denoised.saturating_add(1);
            if self.denoised == 2 {
                self.edit_secs = Average::default();
            }
        }
        match together {
            0 => secs + self.shared_secs,
            1 => {
                self.shared_secs = 0.0;
                secs
            }
            views => {
                self.shared_secs = secs / views as f64;
                self.shared_secs
            }
        }
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
