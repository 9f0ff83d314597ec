//! Splats to pictures and back: 3D Gaussian Splatting (Kerbl et al. 2023) with gsplat's semantics. Splats are sorted by
//! depth, then their tile intersections by tile, so the long sort has short keys; an intersection's slot is numbered
//! before that second sort, so a splat's slots lie side by side when the backward pass adds them up.

use super::{
    SplatBuffers, SplatGradients, TileSize,
    kernels::{ColorKernels, Kernels, SumKernels, half_slot},
    poses::PoseKernels,
    rows::Rows,
    scratch::{self, IntersectionScratch, PictureScratch, SlotPart, SplatScratch},
    sort::{self, Count, Recorder, SortScratch, SortShape, groups_for},
    uniforms::{SCAN_TO_INTERSECTIONS, Scan, View},
};
use crate::{
    Error, Result,
    gpu::{Gpu, GpuImage, Packer, Slice},
    scene::Camera,
    settings::GradientSum,
};
use std::sync::Arc;

/// Positions of the `u32`s in [`Rasterizer::status_buffer`].
pub mod status {
    /// Tile-splat intersections that the view has; saturates.
    pub const INTERSECTIONS: usize = 0;
    /// 1 when there were more intersections than room: the picture is incomplete and its gradients are not to be used.
    pub const OVERFLOW: usize = 1;
    /// Splats inside the view.
    pub const VISIBLE: usize = 2;
    /// Intersections that are drawn: those that fit.
    pub const SORTED: usize = 3;
    /// Number of `u32`s.
    pub const LEN: usize = 8;
}

/// What a render depends on besides splats and camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenderOptions {
    /// Display-referred rgb behind the splats.
    pub background: [f32; 3],
    /// SH degree to evaluate; more than the splats hold means all they hold.
    pub active_sh_degree: u32,
}

/// Kernels and scratch memory of one user of the rasterizer (the trainer has one, the viewport another).
pub struct Rasterizer {
    gpu: Arc<Gpu>,
    tile_size: TileSize,
    gradient_sum: GradientSum,
    kernels: Kernels,
    colors: [Option<ColorKernels>; 4],
    sort_shape: SortShape,
    sort_scratch: SortScratch,
    splats: SplatScratch,
    intersections: IntersectionScratch,
    picture: PictureScratch,
    /// Bound where no depth is wanted.
    no_depth: wgpu::Buffer,
    status: wgpu::Buffer,
    /// Where the camera's gradient is wanted.
    poses: Option<PoseKernels>,
    last: Option<View>,
}

/// Of a depth key, as `splat/view.wgsl` says.
const DEPTH_BITS: u32 = 29;
const INITIAL_INTERSECTIONS: u32 = 1 << 18;

impl Rasterizer {
    /// # Errors
    /// [`Error::Gpu`] when the adapter cannot run the kernels.
    pub fn new(gpu: Arc<Gpu>) -> Result<Self> {
        let tile_size = TileSize::of(&gpu);
        let most = IntersectionScratch::most(&gpu).min(INITIAL_INTERSECTIONS.into());
        Self::with(gpu, tile_size, most as u32)
    }

    /// With a chosen tile size and room for exactly `intersections` to begin with.
    ///
    /// # Errors
    /// See [`Self::new`] and [`Self::grow`].
    pub fn with(gpu: Arc<Gpu>, tile_size: TileSize, intersections: u32) -> Result<Self> {
        let sort_shape = SortShape::new(tile_size);
        let rasterizer = Self {
            tile_size,
            gradient_sum: GradientSum::Signed,
            kernels: Kernels::new(&gpu, tile_size),
            colors: [None, None, None, None],
            sort_shape,
            sort_scratch: SortScratch::new(&gpu, sort_shape),
            splats: SplatScratch::new(&gpu, 0)?,
            intersections: IntersectionScratch::new(&gpu, intersections, true)?,
            picture: PictureScratch::new(&gpu, 1, 1, 1)?,
            no_depth: gpu.storage("no depth", 16),
            status: gpu.storage("status", 4 * status::LEN as u64),
            poses: None,
            last: None,
            gpu,
        };
        rasterizer.gpu.check()?;
        Ok(rasterizer)
    }

    /// Draw a whole frame: records, submits, and waits once to learn whether the scratch memory sufficed; grows it and
    /// draws again if not. `target` gets rgb over the background and alpha = 1 − transmittance; `depth`, `[h, w]` of
    /// `f32`, the sum of weight × camera z (divide by alpha for the expected depth).
    ///
    /// # Errors
    /// [`Error::Gpu`] when the view needs more than the adapter can hold, or the device is lost.
    pub fn render(
        &mut self,
        splats: &SplatBuffers,
        camera: &Camera,
        options: &RenderOptions,
        target: &GpuImage,
        depth: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        loop {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            self.record_forward(&mut encoder, splats, camera, options, target, depth)?;
            self.gpu.queue.submit([encoder.finish()]);
            let status: Vec<u32> = self.gpu.read(&self.status, status::LEN)?;
            if status[status::OVERFLOW] == 0 {
                return Ok(());
            }
            self.grow(status[status::INTERSECTIONS])?;
        }
    }

    /// Record a draw without any wait. With more intersections than capacity the picture is incomplete and
    /// [`status::OVERFLOW`] is set on the GPU; [`Self::grow`] and draw again.
    ///
    /// # Errors
    /// [`Error::Gpu`] when scratch memory for this size of picture or number of splats passes the adapter's limits,
    /// [`Error::Invalid`] when `target` differs in size from the camera.
    pub fn record_forward(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        splats: &SplatBuffers,
        camera: &Camera,
        options: &RenderOptions,
        target: &GpuImage,
        depth: Option<&wgpu::Buffer>,
    ) -> Result<()> {
        let (width, height) = (camera.intrinsics.width, camera.intrinsics.height);
        if (target.width, target.height) != (width, height) {
            return Err(Error::invalid(format!(
                "a camera of {width}×{height} pixels cannot be drawn on a picture of {}×{}",
                target.width, target.height
            )));
        }
        let view = View::new(
            camera,
            options,
            splats,
            self.tile_size.pixels(),
            self.intersections.room,
            depth.is_some(),
        );
        self.make_room(&view)?;
        let degree = view.active_degree as usize;
        if self.colors[degree].is_none() {
            self.colors[degree] = Some(ColorKernels::new(&self.gpu, view.active_degree));
        }
        self.last = Some(view);

        let Self {
            gpu,
            tile_size,
            gradient_sum: _,
            kernels,
            colors,
            sort_shape,
            sort_scratch,
            splats: per_splat,
            intersections,
            picture,
            no_depth,
            status,
            poses: _,
            last: _,
        } = &*self;
        let Some(color) = &colors[degree] else {
            return Err(Error::Gpu(format!("no kernels for SH degree {degree}")));
        };
        let tiles = view.tiles[0] * view.tiles[1];
        let mut packer = Packer::new(gpu);
        let view_at = packer.add(&view);
        let rest_words = view.rest_words();
        let rest_parts: Vec<(Rows, Slice)> = Rows::parts(gpu, view.splats, rest_words)
            .into_iter()
            .map(|part| (part, packer.add(&view.with_part(part))))
            .collect();
        let depth_plan = sort::plan(
            &mut packer,
            *sort_shape,
            DEPTH_BITS,
            Count::Host(view.splats),
            Some(status::VISIBLE),
        );
        let slot_scan = packer.add(&Scan {
            length: view.splats,
            destination: SCAN_TO_INTERSECTIONS,
            capacity: view.capacity,
            padding: 0,
        });
        let tile_plan = sort::plan(
            &mut packer,
            *sort_shape,
            u32::BITS - tiles.leading_zeros(),
            Count::Status(status::SORTED),
            None,
        );
        let uniforms = packer.finish(gpu);
        let recorder = Recorder {
            gpu,
            kernels: &kernels.sort,
            uniforms: &uniforms,
            status,
            scratch: sort_scratch,
        };

        encoder.clear_buffer(&picture.tile_ranges, 0, Some(u64::from(tiles) * 8));
        let mut pass = encoder.begin_compute_pass(&Default::default());
        let by_splat = groups_for(view.splats);
        let bind = kernels.project.bind(
            gpu,
            &[
                view_at.of(&uniforms),
                splats.means.as_entire_binding(),
                splats.quats.as_entire_binding(),
                splats.log_scales.as_entire_binding(),
                splats.logit_opacities.as_entire_binding(),
                per_splat.projected.as_entire_binding(),
                per_splat.depth_sort.keys[0].as_entire_binding(),
                per_splat.slot_ranges.as_entire_binding(),
            ],
        );
        kernels.project.dispatch(&mut pass, &bind, by_splat);
        for (part, view_of_part) in rest_parts {
            let bind = color.forward.bind(
                gpu,
                &[
                    view_of_part.of(&uniforms),
                    splats.means.as_entire_binding(),
                    splats.sh_dc.as_entire_binding(),
                    part.of(&splats.sh_rest, rest_words),
                    per_splat.projected.as_entire_binding(),
                ],
            );
            color
                .forward
                .dispatch(&mut pass, &bind, groups_for(part.count()));
        }

        let side = recorder.sort(&mut pass, &depth_plan, &per_splat.depth_sort);
        let order = &per_splat.depth_sort.values[side];
        let bind = kernels.tile_counts.bind(
            gpu,
            &[
                view_at.of(&uniforms),
                status.as_entire_binding(),
                order.as_entire_binding(),
                per_splat.slot_ranges.as_entire_binding(),
                per_splat.first_slots.as_entire_binding(),
            ],
        );
        kernels.tile_counts.dispatch(&mut pass, &bind, by_splat);
        recorder.scan(
            &mut pass,
            slot_scan,
            view.splats,
            &per_splat.first_slots,
            &per_splat.sums,
        );
        let bind = kernels.emit.bind(
            gpu,
            &[
                view_at.of(&uniforms),
                status.as_entire_binding(),
                order.as_entire_binding(),
                per_splat.first_slots.as_entire_binding(),
                per_splat.projected.as_entire_binding(),
                per_splat.slot_ranges.as_entire_binding(),
                intersections.tile_sort.keys[0].as_entire_binding(),
                intersections.slot_splats.as_entire_binding(),
            ],
        );
        kernels.emit.dispatch(&mut pass, &bind, by_splat);

        let side = recorder.sort(&mut pass, &tile_plan, &intersections.tile_sort);
        let bind = kernels.ranges.bind(
            gpu,
            &[
                view_at.of(&uniforms),
                status.as_entire_binding(),
                intersections.tile_sort.keys[side].as_entire_binding(),
                intersections.tile_sort.values[side].as_entire_binding(),
                intersections.slot_splats.as_entire_binding(),
                intersections.intersections.as_entire_binding(),
                picture.tile_ranges.as_entire_binding(),
            ],
        );
        // The count is on the GPU only: a fixed number of threads strides over it.
        let strided = match tile_size {
            TileSize::Small => 16,
            TileSize::Large => 1024,
        };
        kernels.ranges.dispatch(&mut pass, &bind, [strided, 1, 1]);
        let bind = kernels.rasterize.bind(
            gpu,
            &[
                view_at.of(&uniforms),
                per_splat.projected.as_entire_binding(),
                intersections.intersections.as_entire_binding(),
                picture.tile_ranges.as_entire_binding(),
                target.buffer.as_entire_binding(),
                depth.unwrap_or(no_depth).as_entire_binding(),
                picture.pixel_ends.as_entire_binding(),
            ],
        );
        let [across, down] = view.tiles;
        kernels
            .rasterize
            .dispatch(&mut pass, &bind, [across, down, 1]);
        Ok(())
    }

    /// Record the backward pass of the last [`Self::record_forward`] (same encoder, or one submitted later, with the
    /// splats unchanged). `d_image` is `[h, w]` of `vec4<f32>`: dL/drgb and dL/dalpha; `d_depth` `[h, w]` of `f32`.
    /// Sums run in a fixed order: the same input gives the same bits.
    ///
    /// # Errors
    /// [`Error::Invalid`] without a forward pass of the same splats, or for gradients of another shape.
    pub fn record_backward(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        splats: &SplatBuffers,
        d_image: &wgpu::Buffer,
        d_depth: Option<&wgpu::Buffer>,
        gradients: &SplatGradients,
    ) -> Result<()> {
        let Some(mut view) = self.last else {
            return Err(Error::invalid(
                "a backward pass needs a forward pass before it",
            ));
        };
        if view.splats != splats.count
            || (gradients.count, gradients.sh_degree) != (splats.count, splats.sh_degree)
        {
            return Err(Error::invalid(format!(
                "the forward pass drew {} splats, the backward pass was given {} of SH degree {} and gradients for {} of \
                 degree {}",
                view.splats, splats.count, splats.sh_degree, gradients.count, gradients.sh_degree
            )));
        }
        view.depth = u32::from(d_depth.is_some());
        self.splats.for_backward(&self.gpu);
        if let Some(poses) = &mut self.poses {
            poses.make_room(&self.gpu, view.splats);
        }
        self.intersections
            .for_backward(&self.gpu, half_slot(self.gradient_sum));
        let Self {
            gpu,
            tile_size: _,
            gradient_sum: _,
            kernels,
            colors,
            sort_shape: _,
            sort_scratch: _,
            splats: per_splat,
            intersections,
            picture,
            no_depth,
            status: _,
            poses,
            last: _,
        } = &*self;
        let (Some(color), Some(d_projected)) =
            (&colors[view.active_degree as usize], &per_splat.d_projected)
        else {
            return Err(Error::Gpu("the backward pass has no memory".into()));
        };
        let mut packer = Packer::new(gpu);
        let view_at = packer.add(&view);
        let rest_words = view.rest_words();
        let rest_parts: Vec<(Rows, Slice)> = Rows::parts(gpu, view.splats, rest_words)
            .into_iter()
            .map(|part| (part, packer.add(&view.with_part(part))))
            .collect();
        let slot_parts: Vec<(&SlotPart, Slice)> = intersections
            .slots
            .iter()
            .map(|slots| (slots, packer.add(&view.with_part(slots.rows))))
            .collect();
        let uniforms = packer.finish(gpu);
        let mut pass = encoder.begin_compute_pass(&Default::default());
        let by_splat = groups_for(view.splats);
        let [across, down] = view.tiles;
        // Slots that are bound in parts: each part's pass goes over all pixels again, and keeps its own.
        for (slots, view_of_part) in slot_parts {
            let bind = kernels.sums.rasterize_backward.bind(
                gpu,
                &[
                    view_of_part.of(&uniforms),
                    per_splat.projected.as_entire_binding(),
                    intersections.intersections.as_entire_binding(),
                    picture.tile_ranges.as_entire_binding(),
                    picture.pixel_ends.as_entire_binding(),
                    d_image.as_entire_binding(),
                    d_depth.unwrap_or(no_depth).as_entire_binding(),
                    slots.halves[0].as_entire_binding(),
                    slots.halves[1].as_entire_binding(),
                ],
            );
            kernels
                .sums
                .rasterize_backward
                .dispatch(&mut pass, &bind, [across, down, 1]);
            let bind = kernels.sums.gather_slots.bind(
                gpu,
                &[
                    view_of_part.of(&uniforms),
                    per_splat.projected.as_entire_binding(),
                    per_splat.slot_ranges.as_entire_binding(),
                    slots.halves[0].as_entire_binding(),
                    slots.halves[1].as_entire_binding(),
                    d_projected.as_entire_binding(),
                    splats.logit_opacities.as_entire_binding(),
                    gradients.logit_opacities.as_entire_binding(),
                    gradients.mean2d.as_entire_binding(),
                ],
            );
            kernels
                .sums
                .gather_slots
                .dispatch(&mut pass, &bind, by_splat);
        }
        for (part, view_of_part) in rest_parts {
            let bind = color.backward.bind(
                gpu,
                &[
                    view_of_part.of(&uniforms),
                    splats.means.as_entire_binding(),
                    part.of(&splats.sh_rest, rest_words),
                    per_splat.projected.as_entire_binding(),
                    d_projected.as_entire_binding(),
                    gradients.sh_dc.as_entire_binding(),
                    part.of(&gradients.sh_rest, rest_words),
                    gradients.means.as_entire_binding(),
                    gradients.radii.as_entire_binding(),
                ],
            );
            color
                .backward
                .dispatch(&mut pass, &bind, groups_for(part.count()));
        }
        let of_pose = (view_at, &uniforms);
        if let Some(poses) = poses {
            poses.record(gpu, &mut pass, of_pose, splats, gradients, false);
        }
        let bind = kernels.geometry_backward.bind(
            gpu,
            &[
                view_at.of(&uniforms),
                splats.means.as_entire_binding(),
                splats.quats.as_entire_binding(),
                splats.log_scales.as_entire_binding(),
                per_splat.projected.as_entire_binding(),
                d_projected.as_entire_binding(),
                gradients.means.as_entire_binding(),
                gradients.quats.as_entire_binding(),
                gradients.log_scales.as_entire_binding(),
            ],
        );
        kernels
            .geometry_backward
            .dispatch(&mut pass, &bind, by_splat);
        if let Some(poses) = poses {
            poses.record(gpu, &mut pass, of_pose, splats, gradients, true);
        }
        Ok(())
    }

    /// What [`SplatGradients::mean2d`] gets from here on; at first [`GradientSum::Signed`].
    pub fn set_gradient_sum(&mut self, gradient: GradientSum) {
        if gradient != self.gradient_sum {
            self.kernels.sums = SumKernels::new(&self.gpu, self.tile_size, gradient);
            self.gradient_sum = gradient;
        }
    }

    /// Whether backward passes tell what moving the camera does, in [`Self::pose_gradient`]; at first they do not.
    pub fn set_pose_gradient(&mut self, wanted: bool) {
        if wanted != self.poses.is_some() {
            self.poses = wanted.then(|| PoseKernels::new(&self.gpu));
        }
    }

    /// Six `f32` of the last backward pass: dL/dshift (world units) and dL/dturn (radians), in the camera's frame, for
    /// world_to_camera' = shift · exp(turn) · world_to_camera. `None` without [`Self::set_pose_gradient`].
    pub fn pose_gradient(&self) -> Option<&wgpu::Buffer> {
        self.poses.as_ref().map(|poses| &poses.d_pose)
    }

    /// `u32`s of the last forward pass, see [`status`]. Kernels may bind it, for instance to skip a step on overflow.
    pub fn status_buffer(&self) -> &wgpu::Buffer {
        &self.status
    }

    /// Intersections that fit.
    pub fn capacity(&self) -> u32 {
        self.intersections.room
    }

    /// Make room for `needed_intersections` (and some more). A forward pass must come before the next backward pass.
    ///
    /// # Errors
    /// [`Error::Gpu`], with the numbers, when that passes the adapter's limits.
    pub fn grow(&mut self, needed_intersections: u32) -> Result<()> {
        if needed_intersections > self.intersections.room {
            self.intersections = IntersectionScratch::new(&self.gpu, needed_intersections, false)?;
            self.last = None;
        }
        Ok(())
    }

    /// Fill all scratch memory with `word`, to show that nothing depends on what memory held before.
    pub fn fill_scratch(&self, word: u32) {
        let buffers = scratch::all(&self.splats, &self.intersections, &self.picture).chain([
            &self.sort_scratch.counters,
            &self.sort_scratch.sums,
            &self.status,
        ]);
        for buffer in buffers {
            let words = vec![word; (buffer.size() / 4) as usize];
            self.gpu
                .queue
                .write_buffer(buffer, 0, bytemuck::cast_slice(&words));
        }
    }

    fn make_room(&mut self, view: &View) -> Result<()> {
        if view.splats > self.splats.room {
            self.splats = SplatScratch::new(&self.gpu, view.splats)?;
        }
        let [width, height] = view.size;
        let pixels = u64::from(width) * u64::from(height);
        let tiles = u64::from(view.tiles[0]) * u64::from(view.tiles[1]);
        if pixels > self.picture.pixels || tiles > self.picture.tiles || pixels == 0 {
            self.picture = PictureScratch::new(&self.gpu, width, height, tiles)?;
        }
        Ok(())
    }
}
