//! Renders of the scene for the viewport, without ever waiting for the GPU: a frame is recorded and submitted, looked
//! after without blocking, and shown once it is complete. At most one frame is on its way, so that the window never
//! queues work ahead of the trainer's; resolution follows what the adapter manages. Luxens are marched in slices of a
//! frame, so that a frame which the camera has left behind is given up at once.

use super::frame_cost::FrameCost;
use crate::{
    Error, Result,
    edit::Drawable,
    gpu::{Gpu, GpuImage},
    luxen::LuxenRenderer,
    scene::Camera,
    splat::{Rasterizer, RenderOptions, status},
};
use glam::DVec3;
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

/// Render scales that are used; each another buffer size.
const SCALES: [f64; 6] = [1.0, 0.75, 0.5, 0.375, 0.25, 0.125];
/// Seconds that a frame may take while the camera moves, and while it rests but the scene changes: then a sharp picture
/// that is a little old says more than a fresh one that is not.
const MOVING_SECS: f64 = 1.0 / 18.0;
const RESTING_SECS: f64 = 1.5;
/// While the scene changes by itself: the pause after a frame, in frames and at most in seconds.
const PAUSE_FRAMES: f64 = 3.0;
const PAUSE_SECS: f64 = 4.0;
/// Scale in motion on an adapter of which no frame is known.
const FIRST_SCALE: f64 = 0.25;
/// Where a sharp picture takes longer than this, one of half its size comes before it.
const SHARP_SECS: f64 = 0.7;
/// As [`MOVING_SECS`], of a Luxen on an adapter that cannot do better.
const MARCHING_SECS: f64 = 0.2;
/// A frame in motion is finished although the camera has moved on, or a slow adapter would show none; but not one that
/// takes longer than this, unless the one before it was given up, too.
const GIVE_UP_SECS: f64 = 2.0 * MARCHING_SECS;
/// Seconds that a slice of a Luxen's frame may take, and the pixels of one while that is unknown.
const SLICE_SECS: f64 = 0.05;
const FIRST_SLICE: u32 = 4096;
const LEAST_SLICE: u32 = 1024;
/// Work of a pixel with half the samples, in pixels with all of them.
const COARSE_PIXEL: f64 = 0.5;
/// How long a scale that failed for lack of memory is not tried again.
const CEILING_LIFE: Duration = Duration::from_secs(8);

/// How urgently a picture is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The camera moves.
    Moving,
    /// The camera rests, the scene changes.
    Live,
    /// Nothing moves: full resolution, however long it takes.
    Still,
}

/// What a frame shows; equal keys give equal pictures.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    camera: Camera,
    /// Of the window's own counting, see [`super::viewport`].
    scene: u64,
    /// 0: none.
    before: u64,
    /// Luxens have half the samples.
    is_coarse: bool,
}

/// A finished frame.
pub struct Frame {
    key: Key,
    pub image: GpuImage,
    /// The scene before the edit, where it was asked for.
    pub before: Option<GpuImage>,
    /// `[h, w]` of `f32`: sum of weight × camera z.
    pub depth: wgpu::Buffer,
}

impl Frame {
    pub fn camera(&self) -> &Camera {
        &self.key.camera
    }
}

/// A frame that is being made.
struct Work {
    frame: Frame,
    pace: Pace,
    scene: Drawable,
    before: Option<Drawable>,
    began: Instant,
    /// It follows one that was given up in motion.
    is_overdue: bool,
}

struct Pending {
    work: Work,
    read_back: ReadBack,
    submitted: Instant,
    /// Pixels of the slice that is on its way.
    slice: Range<u32>,
}

impl Work {
    fn is_sliced(&self) -> bool {
        is_sliced(&self.scene, self.before.as_ref())
    }

    /// Whether to stop before it is complete, now that the camera is elsewhere.
    fn is_given_up(&self, camera: &Camera) -> bool {
        let takes_long = || !self.is_overdue && self.began.elapsed().as_secs_f64() > GIVE_UP_SECS;
        self.is_sliced()
            && self.frame.key.camera != *camera
            && (self.pace != Pace::Moving || takes_long())
    }

    /// Its cost, in pixels with all samples.
    fn pixels(&self) -> f64 {
        let pictures = 1 + u32::from(self.frame.before.is_some());
        let pixels = self.frame.image.pixels() as f64 * f64::from(pictures);
        work_of(pixels, self.frame.key.is_coarse)
    }
}

/// Pixels with all samples that cost as much as `pixels`.
fn work_of(pixels: f64, is_coarse: bool) -> f64 {
    if is_coarse {
        pixels * COARSE_PIXEL
    } else {
        pixels
    }
}

/// Whether frames are made in slices.
fn is_sliced(scene: &Drawable, before: Option<&Drawable>) -> bool {
    [Some(scene), before]
        .into_iter()
        .flatten()
        .any(|drawable| match drawable {
            Drawable::Splats(_) => false,
            Drawable::Luxen(_) => true,
        })
}

/// A few words on their way back from the GPU.
struct ReadBack {
    staging: wgpu::Buffer,
    state: Arc<AtomicU8>,
}

const ON_ITS_WAY: u8 = 0;
const ARRIVED: u8 = 1;
const FAILED: u8 = 2;

impl ReadBack {
    fn staging(gpu: &Gpu, words: usize) -> wgpu::Buffer {
        gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("viewport read-back"),
            size: words as u64 * 4,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// Call after the copy into `staging` was submitted.
    fn start(staging: wgpu::Buffer) -> Self {
        let state = Arc::new(AtomicU8::new(ON_ITS_WAY));
        let on_mapped = state.clone();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            on_mapped.store(
                if result.is_ok() { ARRIVED } else { FAILED },
                Ordering::Release,
            );
        });
        Self { staging, state }
    }

    /// `None` while on its way.
    fn words(&self) -> Option<Result<Vec<u32>>> {
        let failed = || Error::Gpu("the graphics driver failed to read back the viewport".into());
        match self.state.load(Ordering::Acquire) {
            ON_ITS_WAY => None,
            ARRIVED => Some(
                self.staging
                    .get_mapped_range(..)
                    .map(|view| {
                        view.chunks_exact(4)
                            .map(bytemuck::pod_read_unaligned)
                            .collect()
                    })
                    .map_err(|_| failed()),
            ),
            _ => Some(Err(failed())),
        }
    }
}

struct Pick {
    read_back: ReadBack,
    camera: Camera,
    pixel: [u32; 2],
}

/// The viewport's renderer.
pub struct Canvas {
    gpu: Arc<Gpu>,
    rasterizer: Rasterizer,
    marcher: LuxenRenderer,
    shown: Option<Frame>,
    /// Frames so far.
    finished: u64,
    /// The buffers of the frame before the shown one, for the next.
    spare: Option<Frame>,
    pending: Option<Pending>,
    pick: Option<Pick>,
    /// Scale above which the adapter's memory does not suffice for what is drawn, and when that was found.
    ceiling: Option<(f64, Instant)>,
    /// Pixels, of the viewport at scale 1.
    full_height: u32,
    /// Of whole frames.
    cost: FrameCost,
    /// Whether that was measured on sliced frames.
    measured_slices: bool,
    /// Pixels of the next slice.
    slice_pixels: u32,
    /// The last frame in motion was given up.
    is_overdue: bool,
    last_finish: Instant,
}

impl Canvas {
    /// # Errors
    /// [`Error::Gpu`] when the adapter cannot run the rasterizer.
    pub fn new(gpu: Arc<Gpu>) -> Result<Self> {
        Ok(Self {
            rasterizer: Rasterizer::new(gpu.clone())?,
            marcher: LuxenRenderer::new(gpu.clone()),
            gpu,
            shown: None,
            finished: 0,
            spare: None,
            pending: None,
            pick: None,
            ceiling: None,
            full_height: 1,
            cost: FrameCost::default(),
            measured_slices: false,
            slice_pixels: FIRST_SLICE,
            is_overdue: false,
            last_finish: Instant::now(),
        })
    }

    /// The newest finished frame.
    pub fn shown(&self) -> Option<&Frame> {
        self.shown.as_ref()
    }

    /// Changes whenever [`Self::shown`] does.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    pub fn clear(&mut self) {
        self.shown = None;
        self.spare = None;
        self.pending = None;
        self.pick = None;
        self.ceiling = None;
        self.cost = FrameCost::default();
    }

    pub fn is_busy(&self) -> bool {
        self.pending.is_some() || self.pick.is_some()
    }

    /// The size at which to render a viewport of `full` physical pixels.
    pub fn render_size(&mut self, full: [u32; 2], pace: Pace) -> [u32; 2] {
        let budget = match pace {
            Pace::Moving if self.measured_slices => MARCHING_SECS,
            Pace::Moving => MOVING_SECS,
            Pace::Live => RESTING_SECS,
            Pace::Still => f64::INFINITY,
        };
        self.full_height = full[1];
        let pixels = f64::from(full[0]) * f64::from(full[1]);
        let ceiling = match self.ceiling {
            Some((scale, since)) if since.elapsed() < CEILING_LIFE => scale,
            _ => f64::INFINITY,
        };
        // An image has 16 bytes a pixel.
        let most_pixels = self.gpu.device.limits().max_storage_buffer_binding_size as f64 / 16.0;
        let most_scale = match pace {
            Pace::Moving if !self.cost.is_known() => FIRST_SCALE,
            Pace::Still if self.is_far_from_sharp(pixels) => 0.5,
            _ => 1.0,
        };
        let scale = SCALES
            .into_iter()
            .filter(|s| *s <= most_scale)
            .find(|s| {
                let pixels = pixels * s * s;
                let is_coarse = self.measured_slices && pace == Pace::Moving && *s < 1.0;
                let work = work_of(pixels, is_coarse);
                *s < ceiling && self.cost.secs(work) <= budget && pixels <= most_pixels
            })
            .unwrap_or(SCALES[SCALES.len() - 1]);
        full.map(|side| ((f64::from(side) * scale).round() as u32).max(1))
    }

    /// Whether what is shown is coarser than half of `pixels` either way, and those take long.
    fn is_far_from_sharp(&self, pixels: f64) -> bool {
        let shown = self.shown.as_ref().map_or(0, |f| f.image.pixels()) as f64;
        shown < 0.2 * pixels && self.cost.secs(pixels) > SHARP_SECS
    }

    /// Ask for a picture. Does nothing while one is on its way or when this one is shown already; returns whether the
    /// picture that was asked for is the one that is shown. While the scene changes by itself, renders take at most
    /// about a quarter of the time.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the picture needs more than the adapter has.
    pub fn request(
        &mut self,
        scene: (&Drawable, u64),
        before: Option<(&Drawable, u64)>,
        camera: &Camera,
        pace: Pace,
    ) -> Result<bool> {
        let key = Key {
            camera: *camera,
            scene: scene.1,
            before: before.map_or(0, |b| b.1),
            is_coarse: pace == Pace::Moving
                && camera.intrinsics.height < self.full_height
                && is_sliced(scene.0, before.map(|b| b.0)),
        };
        if let Some(pending) = &self.pending {
            if !pending.work.is_given_up(camera) {
                return Ok(false);
            }
            self.learn_from_part();
        }
        if self.shown.as_ref().is_some_and(|frame| frame.key == key) {
            return Ok(true);
        }
        let pixels = f64::from(camera.intrinsics.width) * f64::from(camera.intrinsics.height);
        let pause = PAUSE_FRAMES * self.cost.secs(pixels);
        let only_scene_changed = self.shown.as_ref().is_some_and(|f| f.key.camera == *camera);
        if pace == Pace::Live
            && only_scene_changed
            && self.last_finish.elapsed().as_secs_f64() < pause.min(PAUSE_SECS)
        {
            return Ok(false);
        }
        if let Err(refusal) = self.submit(key, scene.0, before.map(|b| b.0), pace) {
            self.lower_ceiling(camera, refusal)?;
        }
        Ok(false)
    }

    /// What a frame that is given up tells about the cost of one.
    fn learn_from_part(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let work = &pending.work;
        self.is_overdue = work.pace == Pace::Moving;
        let share = f64::from(pending.slice.start) / work.frame.image.pixels() as f64;
        if share > 0.0 {
            let secs = (pending.submitted - work.began).as_secs_f64() / share;
            self.cost.add(work.pixels(), secs);
        }
    }

    fn submit(
        &mut self,
        key: Key,
        scene: &Drawable,
        before: Option<&Drawable>,
        pace: Pace,
    ) -> Result<()> {
        let sliced = is_sliced(scene, before);
        if sliced != self.measured_slices {
            self.measured_slices = sliced;
            self.cost = FrameCost::default();
        }
        let frame = self.buffers(key, before.is_some());
        let work = Work {
            frame,
            pace,
            scene: scene.clone(),
            before: before.cloned(),
            began: Instant::now(),
            is_overdue: self.is_overdue,
        };
        self.submit_slice(work, 0)
    }

    /// Submit the part of a frame that begins at pixel `first`.
    fn submit_slice(&mut self, mut work: Work, first: u32) -> Result<()> {
        let gpu = self.gpu.clone();
        let Work {
            frame,
            scene,
            before,
            ..
        } = &work;
        let key = frame.key;
        let pixels = if work.is_sliced() {
            self.slice_pixels
        } else {
            frame.image.pixels() as u32
        };
        let slice = first..first + pixels;
        let words = status::LEN;
        let staging = ReadBack::staging(&gpu, 2 * words);
        let bytes = words as u64 * 4;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        // A buffer that the submission does not use would be back at once.
        encoder.clear_buffer(&staging, 0, None);
        if let (Some(drawable), Some(image)) = (before, &frame.before)
            && self.record(&mut encoder, drawable, &key, &slice, image, None)?
        {
            let status = self.rasterizer.status_buffer();
            encoder.copy_buffer_to_buffer(status, 0, &staging, bytes, bytes);
        }
        let (image, depth) = (&frame.image, Some(&frame.depth));
        if self.record(&mut encoder, scene, &key, &slice, image, depth)? {
            let status = self.rasterizer.status_buffer();
            encoder.copy_buffer_to_buffer(status, 0, &staging, 0, bytes);
        }
        // Some drivers do the work within the submission; pipelines were made before it.
        let submitted = Instant::now();
        gpu.queue.submit([encoder.finish()]);
        if first == 0 {
            work.began = submitted;
        }
        self.pending = Some(Pending {
            work,
            read_back: ReadBack::start(staging),
            submitted,
            slice,
        });
        Ok(())
    }

    /// Steer the next slice towards its time.
    fn learn_from_slice(&mut self, pixels: u32, secs: f64) {
        // The last slice of a frame may be short, and quick for that.
        if pixels < self.slice_pixels && secs < SLICE_SECS {
            return;
        }
        let change = (SLICE_SECS / secs.max(1e-6)).clamp(0.5, 2.0);
        let wanted = (f64::from(pixels) * change) as u32;
        self.slice_pixels = wanted.max(LEAST_SLICE).next_multiple_of(64);
    }

    /// Buffers for a frame, those of a past one where they fit.
    fn buffers(&mut self, key: Key, with_before: bool) -> Frame {
        let (width, height) = (key.camera.intrinsics.width, key.camera.intrinsics.height);
        if let Some(spare) = self.spare.take()
            && (spare.image.width, spare.image.height) == (width, height)
            && spare.before.is_some() == with_before
        {
            return Frame { key, ..spare };
        }
        let gpu = &self.gpu;
        Frame {
            key,
            image: GpuImage::new(gpu, width, height),
            before: with_before.then(|| GpuImage::new(gpu, width, height)),
            depth: gpu.storage("viewport depth", u64::from(width) * u64::from(height) * 4),
        }
    }

    /// Record a slice; splats are drawn whole with the first. Returns whether the rasterizer has a status to look at.
    fn record(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        drawable: &Drawable,
        key: &Key,
        slice: &Range<u32>,
        image: &GpuImage,
        depth: Option<&wgpu::Buffer>,
    ) -> Result<bool> {
        let Key {
            camera, is_coarse, ..
        } = key;
        match drawable {
            Drawable::Splats(_) if slice.start > 0 => Ok(false),
            Drawable::Splats(scene) => {
                let options = RenderOptions {
                    background: scene.background,
                    active_sh_degree: scene.active_sh_degree,
                };
                self.rasterizer.record_forward(
                    encoder,
                    &scene.splats,
                    camera,
                    &options,
                    image,
                    depth,
                )?;
                Ok(true)
            }
            Drawable::Luxen(scene) => {
                let coarse = is_coarse.then(|| scene.coarse());
                let scene = coarse.as_ref().unwrap_or(scene);
                self.marcher
                    .record(encoder, scene, camera, None, slice.clone(), image, depth)?;
                Ok(false)
            }
        }
    }

    /// Look after what is on its way; never waits. Returns whether there is a new frame.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the driver failed, or the scene needs more memory than the adapter has.
    pub fn poll(&mut self) -> Result<bool> {
        let Some(pending) = &self.pending else {
            return Ok(false);
        };
        let Some(words) = pending.read_back.words() else {
            return Ok(false);
        };
        let Some(Pending {
            work,
            submitted,
            slice,
            ..
        }) = self.pending.take()
        else {
            return Ok(false);
        };
        let words = words?;
        let secs = submitted.elapsed().as_secs_f64();
        let halves = words.split_at(status::LEN);
        let overflowed = |s: &[u32]| s[status::OVERFLOW] != 0;
        if overflowed(halves.0) || overflowed(halves.1) {
            let needed = halves.0[status::INTERSECTIONS].max(halves.1[status::INTERSECTIONS]);
            return self
                .make_room(needed, work.frame.key.camera)
                .map(|()| false);
        }
        let all = work.frame.image.pixels() as u32;
        if work.is_sliced() {
            self.learn_from_slice(slice.end.min(all) - slice.start, secs);
        }
        if slice.end < all {
            self.submit_slice(work, slice.end)?;
            return Ok(false);
        }
        self.cost
            .add(work.pixels(), work.began.elapsed().as_secs_f64());
        self.last_finish = Instant::now();
        self.finished += 1;
        self.is_overdue = false;
        self.spare = self.shown.replace(work.frame);
        Ok(true)
    }

    /// More scratch memory, or else a coarser picture: early in a reconstruction splats are large and overlap a lot.
    fn make_room(&mut self, needed: u32, camera: Camera) -> Result<()> {
        match self.rasterizer.grow(needed) {
            Ok(()) => Ok(()),
            Err(refusal) => self.lower_ceiling(&camera, refusal),
        }
    }

    /// Draw coarser for a while; the refusal, where that is not possible.
    fn lower_ceiling(&mut self, camera: &Camera, refusal: Error) -> Result<()> {
        let scale = f64::from(camera.intrinsics.height) / f64::from(self.full_height.max(1));
        if scale <= SCALES[SCALES.len() - 1] * 1.01 {
            return Err(refusal);
        }
        self.ceiling = Some((scale * 0.99, Instant::now()));
        Ok(())
    }

    /// Ask which point of the surface the shown frame has at `uv` in [0, 1]²; [`Self::picked`] has the answer later.
    pub fn start_pick(&mut self, uv: [f64; 2]) {
        let Some(frame) = &self.shown else { return };
        let (width, height) = (frame.image.width, frame.image.height);
        let side = |uv: f64, n: u32| ((uv * f64::from(n)) as u32).min(n - 1);
        let pixel = [side(uv[0], width), side(uv[1], height)];
        let index = u64::from(pixel[1]) * u64::from(width) + u64::from(pixel[0]);
        let staging = ReadBack::staging(&self.gpu, 2);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&frame.depth, index * 4, &staging, 0, 4);
        encoder.copy_buffer_to_buffer(&frame.image.buffer, index * 16 + 12, &staging, 4, 4);
        self.gpu.queue.submit([encoder.finish()]);
        self.pick = Some(Pick {
            read_back: ReadBack::start(staging),
            camera: frame.key.camera,
            pixel,
        });
    }

    /// The point asked for, in world space, once; `None` while on its way or where there is only background.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the driver failed.
    pub fn picked(&mut self) -> Result<Option<DVec3>> {
        let Some(pick) = &self.pick else {
            return Ok(None);
        };
        let Some(words) = pick.read_back.words() else {
            return Ok(None);
        };
        let (camera, pixel) = (pick.camera, pick.pixel);
        self.pick = None;
        let words = words?;
        let (depth, alpha) = (f32::from_bits(words[0]), f32::from_bits(words[1]));
        if !(alpha > 0.2 && depth > 0.0) {
            return Ok(None);
        }
        let z = f64::from(depth / alpha);
        let k = camera.intrinsics;
        let at = |p: u32, c: f64, f: f64| (f64::from(p) + 0.5 - c) / f * z;
        let in_camera = DVec3::new(at(pixel[0], k.cx, k.fx), at(pixel[1], k.cy, k.fy), z);
        Ok(Some(camera.camera_to_world().transform_point3(in_camera)))
    }
}

/// A copy of a scene in buffers of its own, which later training does not change.
pub fn frozen_copy(gpu: &Gpu, drawable: &Drawable) -> Drawable {
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let mut copy = drawable.clone();
    let buffers: Vec<&mut wgpu::Buffer> = match &mut copy {
        Drawable::Splats(scene) => {
            let splats = &mut scene.splats;
            vec![
                &mut splats.means,
                &mut splats.quats,
                &mut splats.log_scales,
                &mut splats.logit_opacities,
                &mut splats.sh_dc,
                &mut splats.sh_rest,
            ]
        }
        Drawable::Luxen(scene) => {
            let field = &mut scene.field;
            field.groups.iter_mut().chain([&mut field.cells]).collect()
        }
    };
    for buffer in buffers {
        let target = gpu.storage("before the edit", buffer.size());
        encoder.copy_buffer_to_buffer(buffer, 0, &target, 0, buffer.size());
        *buffer = target;
    }
    gpu.queue.submit([encoder.finish()]);
    copy
}
