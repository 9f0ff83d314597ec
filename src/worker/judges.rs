//! Networks that judge renders when a scene is measured: LPIPS where its weights are found, CLIP where a folder is named.

use super::{ClipMetrics, Metrics};
use crate::{
    Error, Result,
    edit::{PerceptualLoss, PerceptualSearch, choose_device},
    gpu::Gpu,
    metric::{Clip, ClipFeature},
    scene::FloatImage,
    settings::Settings,
};
use std::{path::Path, sync::Arc};

pub(super) struct Judges {
    perceptual: Option<Box<PerceptualLoss>>,
    lpips: f64,
    clip: Option<ClipJudge>,
    views: usize,
}

struct ClipJudge {
    clip: Clip,
    /// Captions before and after the edit.
    captions: Option<[ClipFeature; 2]>,
    /// Photo and render of each view, in capture order.
    views: Vec<[ClipFeature; 2]>,
}

impl Judges {
    /// # Errors
    /// When weights that the settings name cannot be read, or one of two captions is missing.
    pub fn load(gpu: &Arc<Gpu>, settings: &Settings) -> Result<Self> {
        let perceptual = match PerceptualLoss::find(gpu.clone(), settings)? {
            PerceptualSearch::Loaded(loss) => Some(loss),
            PerceptualSearch::Without(why) if !settings.lpips_weights.trim().is_empty() => {
                return Err(Error::Invalid(why));
            }
            PerceptualSearch::Without(why) => {
                log::info!("measuring without LPIPS: {why}");
                None
            }
        };
        let clip = match settings.clip.trim() {
            "" => None,
            folder => Some(ClipJudge::load(Path::new(folder), gpu, settings)?),
        };
        Ok(Self {
            perceptual,
            lpips: 0.0,
            clip,
            views: 0,
        })
    }

    /// # Errors
    /// When a device fails, or the pictures are too small for LPIPS.
    pub fn see(&mut self, photo: &FloatImage, render: &FloatImage) -> Result<()> {
        self.views += 1;
        if let Some(perceptual) = &self.perceptual {
            self.lpips += perceptual.distance(render, photo)?;
        }
        if let Some(judge) = &mut self.clip {
            let features = [judge.clip.picture(photo)?, judge.clip.picture(render)?];
            judge.views.push(features);
        }
        Ok(())
    }

    /// Add what was seen to `metrics`.
    pub fn tell(&self, metrics: &mut Metrics) {
        if self.views == 0 {
            return;
        }
        metrics.lpips = self
            .perceptual
            .as_ref()
            .map(|_| self.lpips / self.views as f64);
        metrics.clip = self.clip.as_ref().map(ClipJudge::metrics);
    }
}

impl ClipJudge {
    fn load(folder: &Path, gpu: &Gpu, settings: &Settings) -> Result<Self> {
        let (device, _) = choose_device(&settings.edit_device, gpu)?;
        let clip = Clip::load(folder, &device)?;
        let captions = [&settings.caption_before, &settings.caption_after].map(|c| c.trim());
        let captions = match captions {
            ["", ""] => None,
            ["", _] | [_, ""] => {
                return Err(Error::invalid(
                    "a direction leads from one caption to another: give both --caption-before and --caption-after",
                ));
            }
            [before, after] => Some([clip.sentence(before)?, clip.sentence(after)?]),
        };
        Ok(Self {
            clip,
            captions,
            views: Vec::new(),
        })
    }

    fn metrics(&self) -> ClipMetrics {
        let mean = |values: Vec<f64>| {
            let n = values.len() as f64;
            (n > 0.0).then(|| values.iter().sum::<f64>() / n)
        };
        let directions = |[text0, text1]: &[ClipFeature; 2]| {
            self.views
                .iter()
                .map(|[i0, i1]| ClipFeature::direction_similarity(i0, i1, text0, text1))
                .collect()
        };
        let pairs = self.views.windows(2).filter_map(|pair| match pair {
            [[a0, a1], [b0, b1]] => Some(ClipFeature::direction_similarity(b0, b1, a0, a1)),
            _ => None,
        });
        let images = self.views.iter().map(|[i0, i1]| i0.similarity(i1));
        ClipMetrics {
            text_direction: self.captions.as_ref().map(directions).and_then(mean),
            direction_consistency: mean(pairs.collect()),
            photo_similarity: mean(images.collect()),
        }
    }
}
