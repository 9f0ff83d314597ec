//! Lines for the plots, bounded: a line of any length keeps at most [`Series::CAPACITY`] points by averaging
//! neighbours, so that a run of a million steps costs the window no more than one of a thousand.

use std::collections::VecDeque;

/// A line of `[x, y]`, x ascending.
#[derive(Clone, Debug)]
pub struct Series {
    points: Vec<[f64; 2]>,
    /// Values that one point stands for.
    stride: u32,
    pending: [f64; 2],
    pending_count: u32,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            points: Vec::new(),
            stride: 1,
            pending: [0.0; 2],
            pending_count: 0,
        }
    }
}

impl Series {
    pub const CAPACITY: usize = 1024;

    /// Values that are not finite are left out.
    pub fn push(&mut self, x: f64, y: f64) {
        if !(x.is_finite() && y.is_finite()) {
            return;
        }
        self.pending[0] += x;
        self.pending[1] += y;
        self.pending_count += 1;
        if self.pending_count < self.stride {
            return;
        }
        let n = f64::from(self.pending_count);
        self.points.push(self.pending.map(|v| v / n));
        self.pending = [0.0; 2];
        self.pending_count = 0;
        if self.points.len() >= Self::CAPACITY {
            self.points = self
                .points
                .chunks(2)
                .map(|pair| {
                    let n = pair.len() as f64;
                    [0, 1].map(|i| pair.iter().map(|p| p[i]).sum::<f64>() / n)
                })
                .collect();
            self.stride *= 2;
        }
    }

    /// Forget what came after `x`: the run went back there.
    pub fn cut_after(&mut self, x: f64) {
        self.points.retain(|p| p[0] <= x);
        self.pending = [0.0; 2];
        self.pending_count = 0;
    }

    pub fn points(&self) -> &[[f64; 2]] {
        &self.points
    }

    pub fn last(&self) -> Option<f64> {
        self.points.last().map(|p| p[1])
    }
}

/// Mean of the last `window` values.
#[derive(Clone, Debug)]
pub struct RunningMean {
    values: VecDeque<f64>,
    window: usize,
}

impl RunningMean {
    pub fn new(window: usize) -> Self {
        Self {
            values: VecDeque::with_capacity(window),
            window,
        }
    }

    /// The mean after adding `value`.
    pub fn push(&mut self, value: f64) -> f64 {
        if self.values.len() == self.window {
            self.values.pop_front();
        }
        self.values.push_back(value);
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
}
