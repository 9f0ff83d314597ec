//! Camera poses that are learnt along with a field, because structure-from-motion is right to about a pixel, and what it is
//! wrong by blurs a scene: nerfstudio's camera optimizer "SO3xR3". Each training view has a shift and a turn of its own in
//! the world, behind its pose, which is never written to the capture; they are saved with the trainer's state. Rays begin
//! where the corrected cameras are, and the loss is followed through the positions of the field's samples and through the
//! harmonics of a ray's direction. Where samples lie along a ray is given.
//!
//! A deliberate deviation: nerfstudio's interlevel loss reaches the cameras, too, through the positions of the proposals'
//! samples. That loss measures how well the proposals bound the field's weights, and no picture; a camera that follows it
//! makes up for what their coarse grids cannot say. The way back through two more grids would be paid for at every step.

use super::{
    CameraPoses, FieldBuffers, FieldShape, LuxenConfig,
    backward::Backward,
    kernels::PoseKernels,
    marcher::{Recorder, groups},
    uniforms::{PoseStep, View},
};
use crate::{
    Error, Result,
    gpu::{Gpu, Packer, Slice},
    scene::{Camera, NamedTensor},
};
use bytemuck::Zeroable;
use glam::{DMat4, DQuat, DVec3};

const TENSOR: &str = "poses";
/// f32s a view, see `luxen/pose.wgsl`.
const LENGTH: usize = 24;
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-15;
/// nerfacto's weights of the mean length of shifts and of turns.
const SHIFT_WEIGHT: f64 = 1e-2;
const TURN_WEIGHT: f64 = 1e-3;

/// Bytes of the buffers of [`Poses`].
pub(super) struct PoseBytes {
    parameters: u64,
    moved: u64,
    /// While they learn: of samples, of rays, of views.
    learning: Option<[u64; 3]>,
}

impl PoseBytes {
    /// `None` where cameras stand where the capture says.
    pub fn new(config: &LuxenConfig, shape: &FieldShape, rays: u32) -> Option<Self> {
        let views = u64::from(shape.views);
        let rays = u64::from(rays);
        let learning = match config.poses {
            CameraPoses::Given => return None,
            CameraPoses::Learnt => None,
            CameraPoses::Learning(_) => Some([
                3 * 4 * rays * u64::from(config.samples[2]),
                32 * rays,
                32 * views,
            ]),
        };
        Some(Self {
            parameters: 4 * LENGTH as u64 * views,
            moved: size_of::<View>() as u64 * views,
            learning,
        })
    }

    pub fn total(&self) -> u64 {
        let Self {
            parameters,
            moved,
            learning,
        } = self;
        [*parameters, *moved]
            .into_iter()
            .chain(learning.iter().copied().flatten())
            .map(Gpu::storage_bytes)
            .sum()
    }
}

struct Learning {
    d_points: wgpu::Buffer,
    d_rays: wgpu::Buffer,
    d_poses: wgpu::Buffer,
}

/// Corrections of all training views, and their optimizer.
pub(super) struct Poses {
    kernels: PoseKernels,
    /// `[views, 6]` vec4s.
    parameters: wgpu::Buffer,
    /// Records of the views that rays are drawn from, corrected.
    pub moved: wgpu::Buffer,
    learning: Option<Learning>,
}

/// A view's correction.
struct Motion {
    shift: DVec3,
    /// Rotation vector about the camera's center.
    turn: DVec3,
}

impl Motion {
    fn applied(&self, camera: &Camera) -> Camera {
        let mut turned = camera.camera_to_world();
        let center = turned.w_axis.truncate() + self.shift;
        turned.w_axis = glam::DVec4::W;
        let turn = DQuat::from_scaled_axis(self.turn);
        let camera_to_world = DMat4::from_rotation_translation(turn, center) * turned;
        Camera {
            world_to_camera: camera_to_world.inverse(),
            ..*camera
        }
    }
}

impl Poses {
    /// At rest, or those of a saved state; `None` where cameras stand where the capture says.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the state lacks them, or has them for other views.
    pub fn new(
        gpu: &Gpu,
        config: &LuxenConfig,
        shape: &FieldShape,
        rays: u32,
        saved: Option<&[NamedTensor]>,
    ) -> Result<Option<Self>> {
        let Some(bytes) = PoseBytes::new(config, shape, rays) else {
            return Ok(None);
        };
        let parameters = gpu.storage("poses", bytes.parameters);
        if let Some(tensors) = saved {
            let expected = LENGTH * shape.views as usize;
            let tensor = tensors
                .iter()
                .find(|t| t.name == TENSOR && t.data.len() == expected)
                .ok_or_else(|| {
                    Error::invalid(format!(
                        "a saved state has no corrections of the poses of its {} views",
                        shape.views
                    ))
                })?;
            gpu.queue
                .write_buffer(&parameters, 0, bytemuck::cast_slice(&tensor.data));
        }
        let mut poses = Self {
            kernels: PoseKernels::new(gpu, config.size),
            parameters,
            moved: gpu.storage("moved views", bytes.moved),
            learning: None,
        };
        poses.prepare(gpu, config, shape, rays);
        Ok(Some(poses))
    }

    /// Make the buffers that steps of this configuration take, of so many rays at a time.
    pub fn prepare(&mut self, gpu: &Gpu, config: &LuxenConfig, shape: &FieldShape, rays: u32) {
        let bytes = PoseBytes::new(config, shape, rays).and_then(|bytes| bytes.learning);
        self.learning = bytes.map(|[points, rays, views]| Learning {
            d_points: gpu.storage("d points", points),
            d_rays: gpu.storage("d rays", rays),
            d_poses: gpu.storage("d poses", views),
        });
    }

    pub fn buffers(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        let Self {
            kernels: _,
            parameters,
            moved,
            learning,
        } = self;
        let learning = learning.iter().flat_map(|learning| {
            let Learning {
                d_points,
                d_rays,
                d_poses,
            } = learning;
            [d_points, d_rays, d_poses]
        });
        [parameters, moved].into_iter().chain(learning)
    }

    /// What a state holds. Waits for the GPU.
    ///
    /// # Errors
    /// See [`Gpu::read`].
    pub fn tensor(&self, gpu: &Gpu, views: u32) -> Result<NamedTensor> {
        let views = views as usize;
        Ok(NamedTensor {
            name: TENSOR.to_owned(),
            shape: vec![views, 6, 4],
            data: gpu.read(&self.parameters, LENGTH * views)?,
        })
    }

    /// Where a training view's camera has got to. Waits for the GPU.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a view that there is not; see [`Gpu::read`].
    pub fn camera(&self, gpu: &Gpu, views: u32, view: u32, camera: &Camera) -> Result<Camera> {
        if view >= views {
            return Err(Error::Invalid(format!("there is no training view {view}")));
        }
        let all = self.tensor(gpu, views)?.data;
        let at = LENGTH * view as usize;
        let vector = |at: usize| DVec3::new(all[at].into(), all[at + 1].into(), all[at + 2].into());
        let motion = Motion {
            shift: vector(at),
            turn: vector(at + 4),
        };
        Ok(motion.applied(camera))
    }

    /// The uniform of [`Self::record_views`].
    pub fn plan_views(packer: &mut Packer, drawn: u32) -> Slice {
        packer.add(&PoseStep {
            count: drawn,
            ..PoseStep::zeroed()
        })
    }

    /// Record: the views' records, corrected.
    pub fn record_views(
        &self,
        recorder: &mut Recorder<'_, '_>,
        uniform: Slice,
        views: &wgpu::Buffer,
        drawn: u32,
    ) {
        recorder.run(
            &self.kernels.views,
            uniform,
            &[views, &self.parameters, &self.moved],
            [groups(drawn), 1, 1],
        );
    }

    /// The uniform of a step's update, the `steps`th from 1; `None` where nothing is learnt.
    pub fn plan_update(
        packer: &mut Packer,
        config: &LuxenConfig,
        views: u32,
        phase_step: u64,
        steps: u64,
    ) -> Option<Slice> {
        let CameraPoses::Learning(rate) = config.poses else {
            return None;
        };
        let exponent = steps.clamp(1, 1 << 30) as i32;
        let count = f64::from(views.max(1));
        Some(packer.add(&PoseStep {
            count: views,
            step_size: (rate.at(phase_step) / (1.0 - BETA1.powi(exponent))) as f32,
            second_correction: (1.0 / (1.0 - BETA2.powi(exponent))) as f32,
            beta1: BETA1 as f32,
            beta2: BETA2 as f32,
            epsilon: EPSILON,
            shift_weight: (SHIFT_WEIGHT / count) as f32,
            turn_weight: (TURN_WEIGHT / count) as f32,
        }))
    }

    /// Record: a chunk's share of the gradient, after its way back; and after the last chunk the update.
    pub fn record(
        &self,
        recorder: &mut Recorder<'_, '_>,
        backward: &Backward<'_>,
        update: Option<Slice>,
    ) {
        let Some(Learning {
            d_points,
            d_rays,
            d_poses,
        }) = &self.learning
        else {
            return;
        };
        let Backward {
            chunk,
            shape,
            space,
            gradients,
            ..
        } = backward;
        let field: &FieldBuffers = backward.field;
        recorder.run(
            self.kernels.points.of(field.storage()),
            chunk.grids[2],
            &[
                field.table(2),
                &space.forward[2],
                &gradients.backward[2],
                d_points,
            ],
            [groups(chunk.quads[2]), 1, 1],
        );
        recorder.run(
            &self.kernels.rays,
            chunk.batches[2],
            &[
                field.network(2),
                &space.rays,
                &space.bins[2],
                d_points,
                &gradients.d_ray_hidden,
                d_rays,
            ],
            [groups(chunk.rays), 1, 1],
        );
        recorder.run(
            &self.kernels.sums,
            chunk.batches[2],
            &[&space.rays, d_rays, d_poses],
            [shape.views, 1, 1],
        );
        if let Some(uniform) = update {
            recorder.run(
                &self.kernels.adam,
                uniform,
                &[d_poses, &self.parameters],
                [groups(shape.views), 1, 1],
            );
        }
    }
}
