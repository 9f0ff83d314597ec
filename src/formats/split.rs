//! Which photos are held out. Numbers can only be compared with other people's when the same photos are held out, so
//! these are nerfstudio's rules to the frame.

use crate::scene::Split;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How views are divided between training and evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalSplit {
    /// This fraction trains, evenly spread; in (0, 1].
    Fraction(f64),
    /// Every n-th view, from the first, is held out.
    Interval(u32),
    /// File names that contain `train` or `eval`.
    Filename,
    /// Every view is in both.
    All,
}

impl EvalSplit {
    /// Divide views of these names, in this order.
    ///
    /// # Errors
    /// A fraction or interval that makes no sense; a name that says neither `train` nor `eval`.
    pub fn split(self, names: &[&str]) -> Result<Split> {
        let n = names.len();
        let in_eval: Vec<bool> = match self {
            Self::Fraction(fraction) => {
                if !(fraction > 0.0 && fraction <= 1.0) {
                    return Err(Error::invalid(format!(
                        "training fraction {fraction}: give a number above 0 and at most 1"
                    )));
                }
                let mut in_eval = vec![true; n];
                for i in training_by_fraction(n, fraction) {
                    in_eval[i] = false;
                }
                in_eval
            }
            Self::Interval(0) => {
                return Err(Error::invalid("eval interval 0: give 1 or more"));
            }
            Self::Interval(every) => (0..n).map(|i| i % every as usize == 0).collect(),
            Self::Filename => names
                .iter()
                .map(|name| by_name(name))
                .collect::<Result<_>>()?,
            Self::All => {
                let all: Vec<usize> = (0..n).collect();
                return Ok(Split {
                    train: all.clone(),
                    eval: all,
                });
            }
        };
        let (eval, train) = (0..n).partition(|&i| in_eval[i]);
        Ok(Split { train, eval })
    }
}

/// `int(linspace(0, n − 1, ceil(n · fraction)))`.
fn training_by_fraction(n: usize, fraction: f64) -> Vec<usize> {
    let count = (n as f64 * fraction).ceil() as usize;
    if count < 2 {
        return (0..count).collect();
    }
    let step = (n - 1) as f64 / (count - 1) as f64;
    (0..count)
        .map(|i| {
            if i + 1 == count {
                n - 1
            } else {
                (i as f64 * step).floor() as usize
            }
        })
        .collect()
}

fn by_name(name: &str) -> Result<bool> {
    let file = name.rsplit('/').next().unwrap_or(name);
    if file.contains("train") {
        Ok(false)
    } else if file.contains("eval") {
        Ok(true)
    } else {
        Err(Error::invalid(format!(
            "split by file name: {name} contains neither \"train\" nor \"eval\""
        )))
    }
}
