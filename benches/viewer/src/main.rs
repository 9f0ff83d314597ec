//! Draws a splat PLY with crate `wgpu-3dgs-viewer`, and says how long a frame took. The other half of
//! `cargo bench --bench viewport`, which runs it with the camera and the size of its own pictures:
//! `viewer FILE.ply WIDTH HEIGHT FX FY CX CY W2C(16, columns) FRAMES OUT.rgb`.

use std::time::{Duration, Instant};
use wgpu_3dgs_viewer::{
    self as gs,
    core::{
        GaussianDisplayMode, GaussianMaxStdDev, GaussianPod, GaussianShDegree, Gaussians,
        GaussiansSource,
        glam::{Mat4, UVec2, Vec4},
    },
};

type Failure = Box<dyn std::error::Error>;

/// OpenCV axes in, the viewer's OpenGL axes out.
struct Pinhole {
    world_to_camera: Mat4,
    focal: [f32; 2],
    center: [f32; 2],
    size: [f32; 2],
}

const NEAR: f32 = 0.01;
const FAR: f32 = 1e4;

impl gs::CameraTrait for Pinhole {
    fn view(&self) -> Mat4 {
        Mat4::from_diagonal(Vec4::new(1.0, -1.0, -1.0, 1.0)) * self.world_to_camera
    }

    fn projection(&self, _aspect_ratio: f32) -> Mat4 {
        let Self {
            focal: [fx, fy],
            center: [cx, cy],
            size: [width, height],
            ..
        } = *self;
        let depth = FAR / (NEAR - FAR);
        Mat4::from_cols(
            Vec4::new(2.0 * fx / width, 0.0, 0.0, 0.0),
            Vec4::new(0.0, 2.0 * fy / height, 0.0, 0.0),
            Vec4::new(1.0 - 2.0 * cx / width, 2.0 * cy / height - 1.0, depth, -1.0),
            Vec4::new(0.0, 0.0, NEAR * depth, 0.0),
        )
    }
}

struct Frames {
    times: Vec<Duration>,
    /// `[height, width, 3]`.
    rgb: Vec<u8>,
}

fn draw<G: GaussianPod>(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    gaussians: &Gaussians,
    camera: &Pinhole,
    [width, height]: [u32; 2],
    frames: usize,
) -> Result<Frames, Failure> {
    let format = wgpu::TextureFormat::Rgba8Unorm;
    let mut viewer = gs::Viewer::<G>::new(device, format, gaussians)?;
    viewer.update_camera(queue, camera, UVec2::new(width, height));
    let degree = GaussianShDegree::new(3).ok_or("degree 3")?;
    let widest = GaussianMaxStdDev::new(3.0).ok_or("3 standard deviations")?;
    viewer.update_gaussian_transform(
        queue,
        1.0,
        GaussianDisplayMode::Splat,
        degree,
        false,
        widest,
    );
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d {
            width,
            height,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let target = texture.create_view(&Default::default());
    let mut times = Vec::new();
    for _ in 0..=frames {
        let begin = Instant::now();
        let mut encoder = device.create_command_encoder(&Default::default());
        viewer.render(&mut encoder, &target);
        queue.submit([encoder.finish()]);
        device.poll(wgpu::PollType::wait_indefinitely())?;
        times.push(begin.elapsed());
    }
    times.remove(0);

    let row = (4 * width).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(row) * u64::from(height),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &buffer,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(row),
                rows_per_image: Some(height),
            },
        },
        texture.size(),
    );
    queue.submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |result| {
        if let Err(e) = result {
            eprintln!("reading the picture back: {e}");
        }
    });
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let bytes = buffer.get_mapped_range(..)?;
    let rgb = bytes
        .chunks_exact(row as usize)
        .flat_map(|row| row[..4 * width as usize].chunks_exact(4))
        .flat_map(|p| [p[0], p[1], p[2]])
        .collect();
    Ok(Frames { times, rgb })
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.len() != 25 {
        return Err("FILE.ply WIDTH HEIGHT FX FY CX CY W2C(16) FRAMES OUT.rgb".into());
    }
    let numbers: Vec<f32> = arguments[1..24]
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let camera = Pinhole {
        world_to_camera: Mat4::from_cols_slice(&numbers[6..22]),
        focal: [numbers[2], numbers[3]],
        center: [numbers[4], numbers[5]],
        size: [numbers[0], numbers[1]],
    };
    let size = [numbers[0] as u32, numbers[1] as u32];
    let frames = numbers[22] as usize;

    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    }))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_limits: adapter.limits(),
        ..Default::default()
    }))?;
    let gaussians = Gaussians::read_from_file(&arguments[0], GaussiansSource::Ply)?;
    let count = gs::core::IterGaussian::iter_gaussian(&gaussians).len() as u64;
    // One binding holds all splats: single precision where it fits, else half.
    let bytes = size_of::<gs::DefaultGaussianPod>() as u64 * count;
    let fits = bytes <= adapter.limits().max_storage_buffer_binding_size;
    let drawn = if fits {
        draw::<gs::DefaultGaussianPod>(&device, &queue, &gaussians, &camera, size, frames)?
    } else {
        draw::<gs::core::GaussianPodWithShHalfCov3dHalfConfigs>(
            &device, &queue, &gaussians, &camera, size, frames,
        )?
    };
    std::fs::write(&arguments[24], &drawn.rgb)?;
    println!("{}", adapter.get_info().name);
    println!("{}", if fits { "single" } else { "half" });
    for time in drawn.times {
        println!("{}", time.as_secs_f64() * 1e3);
    }
    Ok(())
}
