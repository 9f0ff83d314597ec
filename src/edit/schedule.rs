//! Which view is edited when. igs2gs: a sweep edits every training view once, in capture order; sweeps start every
//! `sweep_interval` steps, the first at the first step. Where editing is slow, a sweep takes only every n-th view, each
//! sweep others, and the steps between train on edited views alone, so that the rest does not pull the scene back.
//! Interleaved, a sweep takes one optimizer step a view, on the picture just edited (what Instruct-GS2GS runs); frozen, all
//! views are edited before the next step (what its text describes). in2n: every `edit_rate` steps, from the first on,
//! `edit_count` views are edited, in one random order that is gone through again and again. sds: every step looks at one
//! view, and no picture is replaced. Steps that no schedule places come shuffled without replacement.
//!
//! All randomness is a function of the seed and of counters: no generator state has to be saved.

use crate::settings::{Method, Settings, Sweep};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde::{Deserialize, Serialize};

/// Streams of the seed's generator, so that views, noise levels and noises never share numbers.
const STREAM_VIEWS: u64 = 1 << 62;
const STREAM_TIMESTEPS: u64 = 1 << 61;
const STREAM_ORDER: u64 = 1 << 60;

/// What the next optimizer step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepPlan {
    /// Edit this training view (an index into the training split), then take a step on it.
    EditAndStep { position: usize, sweep: u32 },
    /// Edit this training view, take no step, then plan again.
    EditOnly { position: usize, sweep: u32 },
    /// A step on this training view.
    Step { position: usize },
    /// A step by score distillation on this training view; in the strip when `is_shown`.
    Distill {
        position: usize,
        sweep: u32,
        is_shown: bool,
    },
}

/// Where a run stands. Saved with every state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    seed: u64,
    /// Views in the training split.
    views: usize,
    /// Steps taken in this job.
    done: u32,
    /// Sweeps begun.
    sweeps: u32,
    /// Next view of the running sweep.
    cursor: Option<usize>,
    /// The sweep that starts at step `done` was already begun.
    triggered_at: Option<u32>,
    /// Views still to be edited before step `done` (in2n).
    #[serde(default)]
    due: u32,
    /// View edits made, over all sweeps.
    edits: u64,
    /// Draws of the shuffled order.
    draws: u64,
}

/// The random part of one view edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditDraw {
    pub timestep: u32,
    pub noise_stream: u64,
}

impl Schedule {
    pub fn new(seed: u64, views: usize) -> Self {
        Self {
            seed,
            views,
            done: 0,
            sweeps: 0,
            cursor: None,
            triggered_at: None,
            due: 0,
            edits: 0,
            draws: 0,
        }
    }

    /// Training views that it was made for.
    pub fn views(&self) -> usize {
        self.views
    }

    pub fn steps_done(&self) -> u32 {
        self.done
    }

    pub fn edits_done(&self) -> u64 {
        self.edits
    }

    pub fn sweeps_begun(&self) -> u32 {
        self.sweeps
    }

    /// Position of the running sweep, `(views edited, views)`.
    pub fn sweep_progress(&self) -> Option<(usize, usize)> {
        self.cursor.map(|c| (c, self.views))
    }

    /// A view, shuffled without replacement, epoch by epoch.
    pub fn shuffled_view(&self) -> usize {
        self.shuffled(self.views)
    }

    /// Distance between the views of one sweep.
    fn stride(&self, settings: &Settings) -> usize {
        match settings.sweep_views {
            0 => 1,
            count => self.views.div_ceil(count as usize).max(1),
        }
    }

    /// The first view of a sweep.
    fn first_of_sweep(&self, sweep: u32, settings: &Settings) -> usize {
        sweep as usize % self.stride(settings)
    }

    /// A view that some finished sweep edited, shuffled as in [`Self::shuffled_view`].
    fn shuffled_edited_view(&self, settings: &Settings) -> usize {
        let edited = self.edited_views(settings);
        edited[self.shuffled(edited.len())]
    }

    /// Views that were edited, in order; those of a running sweep up to the one whose turn it is.
    fn edited_views(&self, settings: &Settings) -> Vec<usize> {
        let stride = self.stride(settings);
        let begun = (self.sweeps as usize).clamp(1, stride);
        let is_edited = |p: usize| match self.cursor {
            // A sweep that came by before leaves all its views edited.
            Some(cursor) if self.sweeps as usize <= stride && p % stride == cursor % stride => {
                p <= cursor
            }
            _ => p % stride < begun,
        };
        (0..self.views).filter(|&p| is_edited(p)).collect()
    }

    /// The views that a planned step may learn from, for scenes that learn from many at once: all, or, where sweeps take
    /// some only, those that were edited. A distillation looks at its own view.
    pub fn drawn_views(&self, plan: &StepPlan, settings: &Settings) -> Vec<usize> {
        match *plan {
            StepPlan::Distill { position, .. } => vec![position],
            _ if settings.method == Method::Igs2gs && settings.sweep_views > 0 => {
                self.edited_views(settings)
            }
            _ => (0..self.views).collect(),
        }
    }

    fn shuffled(&self, count: usize) -> usize {
        let n = count as u64;
        self.permutation(STREAM_VIEWS | (self.draws / n), count)[(self.draws % n) as usize]
    }

    fn permutation(&self, stream: u64, count: usize) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, below(&mut rng, i as u64 + 1) as usize);
        }
        order
    }

    /// What comes next; asking twice gives the same answer. Call [`Self::finish_edit`] and [`Self::finish_step`] once it
    /// was done.
    pub fn plan_edit(&mut self, settings: &Settings) -> StepPlan {
        match settings.method {
            Method::Igs2gs => self.plan_sweep(settings),
            Method::In2n | Method::In2nSmall | Method::In2nTiny => self.plan_one_by_one(settings),
            Method::Sds => StepPlan::Distill {
                position: self.shuffled_view(),
                sweep: (self.edits / self.views as u64) as u32,
                is_shown: self.done.is_multiple_of(settings.edit_rate.max(1)),
            },
        }
    }

    fn plan_one_by_one(&mut self, settings: &Settings) -> StepPlan {
        if self.done.is_multiple_of(settings.edit_rate.max(1))
            && self.triggered_at != Some(self.done)
        {
            self.triggered_at = Some(self.done);
            self.due = settings.edit_count;
        }
        if self.due == 0 {
            return StepPlan::Step {
                position: self.shuffled_view(),
            };
        }
        let n = self.views as u64;
        StepPlan::EditOnly {
            position: self.permutation(STREAM_ORDER, self.views)[(self.edits % n) as usize],
            sweep: (self.edits / n) as u32,
        }
    }

    fn plan_sweep(&mut self, settings: &Settings) -> StepPlan {
        let due = self.done.is_multiple_of(settings.sweep_interval.max(1));
        if due && self.triggered_at != Some(self.done) {
            self.triggered_at = Some(self.done);
            // A sweep longer than the interval goes on; it is not begun anew.
            if self.cursor.is_none() {
                self.cursor = Some(self.first_of_sweep(self.sweeps, settings));
                self.sweeps += 1;
            }
        }
        let sweep = self.sweeps.saturating_sub(1);
        match (self.cursor, settings.sweep) {
            (Some(position), Sweep::Frozen) => StepPlan::EditOnly { position, sweep },
            (Some(position), Sweep::Interleaved) => StepPlan::EditAndStep { position, sweep },
            (None, _) => StepPlan::Step {
                position: self.shuffled_edited_view(settings),
            },
        }
    }

    /// The noise level and noise of the next view edit.
    pub fn draw_edit(&self, settings: &Settings) -> EditDraw {
        let low = (settings.lower_bound * 1000.0) as u64;
        let high = (settings.upper_bound * 1000.0) as u64;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(STREAM_TIMESTEPS | self.edits);
        EditDraw {
            timestep: (low + below(&mut rng, high.saturating_sub(low) + 1)) as u32,
            noise_stream: self.edits,
        }
    }

    /// The view edits that follow each other without a step between, from the next on, `count` at most: positions and
    /// draws. The scene does not change between them.
    pub fn edits_without_step(&self, settings: &Settings, count: usize) -> Vec<(usize, EditDraw)> {
        let mut ahead = self.clone();
        let mut edits = Vec::new();
        while edits.len() < count
            && let StepPlan::EditOnly { position, .. } = ahead.plan_edit(settings)
        {
            edits.push((position, ahead.draw_edit(settings)));
            ahead.finish_edit(settings);
        }
        edits
    }

    /// View edits still to come until step `total` of the job.
    pub fn edits_ahead(&self, settings: &Settings, total: u32) -> u64 {
        let interval = match settings.method {
            Method::Igs2gs => settings.sweep_interval.max(1),
            Method::In2n | Method::In2nSmall | Method::In2nTiny => settings.edit_rate.max(1),
            Method::Sds => return 0,
        };
        let first = match self.triggered_at {
            Some(step) => step / interval + 1,
            None => 0,
        };
        let sweeps = total.div_ceil(interval).saturating_sub(first);
        if settings.method != Method::Igs2gs {
            return u64::from(self.due) + u64::from(sweeps) * u64::from(settings.edit_count);
        }
        let stride = self.stride(settings);
        let left = |from: usize| self.views.saturating_sub(from).div_ceil(stride) as u64;
        let running = self.cursor.map_or(0, left);
        let ahead = (self.sweeps..self.sweeps + sweeps)
            .map(|sweep| left(self.first_of_sweep(sweep, settings)));
        running + ahead.sum::<u64>()
    }

    /// The planned view was edited.
    pub fn finish_edit(&mut self, settings: &Settings) {
        self.edits += 1;
        self.due = self.due.saturating_sub(1);
        let stride = self.stride(settings);
        if let Some(cursor) = &mut self.cursor {
            *cursor += stride;
            if *cursor >= self.views {
                self.cursor = None;
            }
        }
    }

    /// The optimizer step of a plan was taken.
    pub fn finish_step(&mut self, plan: &StepPlan) {
        self.done += 1;
        if matches!(plan, StepPlan::Step { .. } | StepPlan::Distill { .. }) {
            self.draws += 1;
        }
    }
}

/// Uniform in `0..n`, without modulo bias.
fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    let zone = u64::MAX - u64::MAX % n;
    loop {
        let v = rng.next_u64();
        if v < zone {
            return v % n;
        }
    }
}
