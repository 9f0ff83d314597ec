//! All training photos at hand for random pixels: one after another in a few large buffers, because a kernel can bind only
//! a few, and because none may pass the adapter's limit.

use super::uniforms::View;
use crate::{Error, Result, gpu::Gpu, loss::TrainView};

const POOLS: usize = 4;

/// Where a view's photo lies.
#[derive(Clone, Copy, PartialEq)]
struct Place {
    pool: u32,
    first: u32,
}

/// Photos and cameras of the training views.
pub(super) struct PhotoPool {
    pub pools: [wgpu::Buffer; POOLS],
    /// Records of the views that rays are drawn from, in the order of `drawn`.
    pub views: wgpu::Buffer,
    drawn: Vec<usize>,
    known: Vec<TrainView>,
    places: Vec<Place>,
}

impl PhotoPool {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            pools: std::array::from_fn(|_| gpu.storage("no photos", 16)),
            views: gpu.storage("views", 96),
            drawn: Vec::new(),
            known: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Make the pool hold `views`: those that changed are copied. Rays are drawn from those that `drawn` counts.
    ///
    /// # Errors
    /// [`Error::Invalid`] when camera and photo differ in size or there are no views, [`Error::Gpu`] when the photos do
    /// not fit.
    pub fn update(&mut self, gpu: &Gpu, views: &[TrainView], drawn: &[usize]) -> Result<()> {
        if drawn.is_empty() {
            return Err(Error::invalid("there are no views to train on"));
        }
        if let Some(none) = drawn.iter().find(|&&view| view >= views.len()) {
            return Err(Error::Invalid(format!("there is no training view {none}")));
        }
        for view in views {
            let k = view.camera.intrinsics;
            if (k.width, k.height) != (view.target.width, view.target.height) {
                return Err(Error::invalid(format!(
                    "a camera of {}×{} cannot be trained on a photo of {}×{}",
                    k.width, k.height, view.target.width, view.target.height
                )));
            }
        }
        let same_sizes = self.known.len() == views.len()
            && self.known.iter().zip(views).all(|(a, b)| {
                (a.target.width, a.target.height) == (b.target.width, b.target.height)
            });
        if !same_sizes {
            self.allocate(gpu, views)?;
        }
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut changed = false;
        let mut moved = !same_sizes;
        for (i, view) in views.iter().enumerate() {
            let known = self.known.get(i);
            moved |= known.is_some_and(|k| k.camera != view.camera);
            if known.is_some_and(|k| k.target.packed == view.target.packed) {
                continue;
            }
            let Place { pool, first } = self.places[i];
            encoder.copy_buffer_to_buffer(
                &view.target.packed,
                0,
                &self.pools[pool as usize],
                u64::from(first) * 4,
                pixels(view) * 4,
            );
            changed = true;
        }
        if changed {
            gpu.queue.submit([encoder.finish()]);
            self.known = views.to_vec();
        }
        if moved || self.drawn != drawn {
            let records: Vec<View> = drawn
                .iter()
                .map(|&row| {
                    let Place { pool, first } = self.places[row];
                    let mut record = View::new(&views[row].camera, first, pool);
                    record.position[3] = row as f32;
                    record
                })
                .collect();
            self.views = gpu.storage_from("views", &records);
            self.drawn = drawn.to_vec();
            self.known = views.to_vec();
        }
        Ok(())
    }

    fn allocate(&mut self, gpu: &Gpu, views: &[TrainView]) -> Result<()> {
        let most = gpu.binding_limit() / 4;
        let mut used = vec![0u64];
        let mut places = Vec::with_capacity(views.len());
        for view in views {
            let pixels = pixels(view);
            if used[used.len() - 1] + pixels > most {
                used.push(0);
            }
            let pool = used.len() - 1;
            if used.len() > POOLS || pixels > most {
                let all: u64 = views.iter().map(self::pixels).sum();
                return Err(Error::Gpu(format!(
                    "{} photos of {} megapixels together do not fit {}, which takes {}: shrink them with --downscale",
                    views.len(),
                    all / 1_000_000,
                    gpu.info.name,
                    most * POOLS as u64 / 1_000_000
                )));
            }
            places.push(Place {
                pool: pool as u32,
                first: used[pool] as u32,
            });
            used[pool] += pixels;
        }
        self.pools = std::array::from_fn(|i| {
            gpu.storage("photos", used.get(i).map_or(16, |pixels| pixels * 4))
        });
        self.places = places;
        self.known.clear();
        Ok(())
    }
}

fn pixels(view: &TrainView) -> u64 {
    u64::from(view.target.width) * u64::from(view.target.height)
}
