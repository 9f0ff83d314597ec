//! Scenes as something that other tools open: splats made of a Luxen, surfaces out of depths, and the files they are
//! written to.

use glam::DVec3;
use luxedit::{
    edit::convert::{DepthView, Grid, Region, region_of, seeds, surface},
    error::Cancel,
    formats::{
        MeshFormat, SplatFormat,
        splats::{read_splats, write_splats},
        write_mesh,
    },
    gpu::Gpu,
    scene::{Camera, Intrinsics, Mesh, Splats},
};
use serde_json::{Value, json};
use std::{f64::consts::PI, path::Path, process::Command};

/// Values of `f` at the corners of a grid of `n` spacings over [−1, 1]³, and a border beyond.
fn grid(n: usize, f: impl Fn(DVec3) -> f64) -> Grid {
    let spacing = 2.0 / n as f64;
    let side = n + 3;
    let origin = DVec3::splat(-1.0 - spacing);
    let values = (0..side * side * side).map(|i| {
        let place = [i % side, i / side % side, i / side / side].map(|v| v as f64);
        f(origin + DVec3::from_array(place) * spacing) as f32
    });
    Grid {
        origin,
        spacing,
        size: [side; 3],
        values: values.collect(),
    }
}

#[test]
fn marching_cubes_finds_a_ball_and_a_ring() {
    let radius = 0.7;
    let ball = grid(40, |p| p.length() - radius).surface();
    assert!(ball.is_watertight());
    assert_eq!(ball.euler_characteristic(), 2);
    let expected = 4.0 / 3.0 * PI * radius.powi(3);
    let volume = ball.volume();
    println!(
        "ball: {} triangles, volume {volume} of {expected}",
        ball.triangles.len()
    );
    assert!((volume / expected - 1.0).abs() < 0.01, "{volume}");
    for bound in ball.bounds().unwrap().concat() {
        assert!((f64::from(bound.abs()) - radius).abs() < 1e-3, "{bound}");
    }
    for (position, normal) in ball.positions.iter().zip(ball.normals()) {
        let out = DVec3::from_array(position.map(f64::from)).normalize();
        assert!(out.dot(DVec3::from_array(normal.map(f64::from))) > 0.98);
    }
    let (wide, thin) = (0.6, 0.2);
    let ring = grid(50, |p| (p.truncate().length() - wide).hypot(p.z) - thin).surface();
    assert!(ring.is_watertight());
    assert_eq!(ring.euler_characteristic(), 0, "one handle");
    let expected = 2.0 * PI * PI * wide * thin * thin;
    assert!((ring.volume() / expected - 1.0).abs() < 0.02);
}

/// Random signs bring up every case many times, the ambiguous ones too.
#[test]
fn marching_cubes_closes_whatever_is_inside() {
    let mut state = 1u32;
    let mut noise = grid(16, |_| 0.0);
    let [sx, sy, sz] = noise.size;
    for i in 0..noise.values.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let place = [i % sx, i / sx % sy, i / sx / sy];
        let is_border = place
            .iter()
            .zip([sx, sy, sz])
            .any(|(&p, n)| p == 0 || p + 1 == n);
        let value = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
        noise.values[i] = if is_border { 1.0 } else { value };
    }
    let mesh = noise.surface();
    assert!(mesh.triangles.len() > 5_000);
    assert!(mesh.is_watertight());
    assert!(mesh.volume() > 0.0);
    // Where something is unknown, no surface runs, and nothing else changes.
    let middle = noise.values.len() / 2;
    noise.values[middle] = f32::NAN;
    let open = noise.surface();
    assert!(!open.is_watertight() && open.triangles.len() < mesh.triangles.len());
}

const BALL: f64 = 0.5;

fn camera(i: u32, side: u32) -> Camera {
    let angle = f64::from(i) * 0.7;
    let height = (f64::from(i) * 1.3).sin() * 1.5;
    let position = 3.0 * DVec3::new(angle.cos(), angle.sin(), height).normalize();
    let half = f64::from(side) / 2.0;
    let intrinsics = Intrinsics {
        fx: 2.2 * half,
        fy: 2.2 * half,
        cx: half,
        cy: half,
        width: side,
        height: side,
    };
    Camera::look_at(position, DVec3::ZERO, DVec3::Z, intrinsics)
}

/// What a camera sees of a ball around the origin: red where x is positive, else blue.
fn look_at_ball(camera: &Camera) -> DepthView {
    let k = camera.intrinsics;
    let (mut rgba, mut depth) = (Vec::new(), Vec::new());
    let world_from_camera = camera.camera_to_world();
    for i in 0..k.width * k.height {
        let x = (f64::from(i % k.width) + 0.5 - k.cx) / k.fx;
        let y = (f64::from(i / k.width) + 0.5 - k.cy) / k.fy;
        let ray = world_from_camera.transform_vector3(DVec3::new(x, y, 1.0));
        let origin = camera.position();
        let (a, b) = (ray.length_squared(), ray.dot(origin));
        let under = b * b - a * (origin.length_squared() - BALL * BALL);
        if under < 0.0 {
            rgba.push([0; 4]);
            depth.push(0.0);
            continue;
        }
        let z = (-b - under.sqrt()) / a;
        let is_red = (origin + ray * z).x > 0.0;
        rgba.push(if is_red {
            [220, 20, 20, 255]
        } else {
            [20, 20, 220, 255]
        });
        depth.push(z as f32);
    }
    DepthView {
        camera: *camera,
        rgba,
        depth,
    }
}

fn fused_ball() -> Mesh {
    let views: Vec<DepthView> = (0..24).map(|i| look_at_ball(&camera(i, 96))).collect();
    let points: Vec<DVec3> = seeds(&views).iter().map(|s| s.position).collect();
    assert!(points.len() > 500);
    assert!(points.iter().all(|p| (p.length() - BALL).abs() < 1e-3));
    let [low, high] = region_of(&points).unwrap();
    let region = Region {
        low,
        high,
        resolution: 48,
        is_closed: true,
    };
    surface(&views, &region, &|_, _| {}, &Cancel::default()).unwrap()
}

#[test]
fn depths_are_fused_to_a_closed_colored_surface() {
    let mesh = fused_ball();
    assert!(mesh.is_watertight());
    assert_eq!(mesh.euler_characteristic(), 2);
    let expected = 4.0 / 3.0 * PI * BALL.powi(3);
    let volume = mesh.volume();
    println!(
        "fused ball: volume {volume} of {expected}, bounds {:?}",
        mesh.bounds()
    );
    assert!((volume / expected - 1.0).abs() < 0.05, "{volume}");
    for bound in mesh.bounds().unwrap().concat() {
        assert!((f64::from(bound.abs()) - BALL).abs() < 0.02, "{bound}");
    }
    let wrong = mesh
        .positions
        .iter()
        .zip(&mesh.colors)
        .filter(|(p, c)| p[0].abs() > 0.05 && (p[0] > 0.0) != (c[0] > c[2]));
    assert_eq!(wrong.count(), 0);
}

#[test]
fn a_stop_ends_the_fusion() {
    let views = [look_at_ball(&camera(0, 16))];
    let region = Region {
        low: DVec3::splat(-1.0),
        high: DVec3::ONE,
        resolution: 16,
        is_closed: true,
    };
    let cancel = Cancel::default();
    cancel.cancel();
    let stopped = surface(&views, &region, &|_, _| {}, &cancel);
    assert!(matches!(stopped, Err(luxedit::Error::Cancelled)));
    let flat = Region {
        high: DVec3::new(1.0, 1.0, -1.0),
        ..region
    };
    assert!(surface(&views, &flat, &|_, _| {}, &Cancel::default()).is_err());
}

#[test]
fn mesh_files_hold_the_mesh() {
    let dir = tempfile::tempdir().unwrap();
    let mesh = Mesh {
        positions: vec![
            [0.0, 0.0, 0.0],
            [2.0, 0.0, 0.0],
            [0.0, 3.0, 0.0],
            [0.0, 0.0, 4.0],
        ],
        colors: vec![[255, 0, 0], [0, 255, 0], [0, 0, 255], [128; 3]],
        triangles: vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]],
    };
    assert!(mesh.is_watertight());
    assert!((mesh.volume() - 4.0).abs() < 1e-9);
    let write = |name: &str| {
        let path = dir.path().join(name);
        write_mesh(&path, &mesh, MeshFormat::of_name(&path).unwrap()).unwrap();
        std::fs::read(path).unwrap()
    };
    let ply = write("m.ply");
    let text = String::from_utf8_lossy(&ply);
    assert!(text.contains("element vertex 4") && text.contains("element face 4"));
    let header = text.find("end_header\n").unwrap() + 11;
    assert_eq!(ply.len(), header + 4 * (24 + 3) + 4 * (1 + 12));
    let obj = String::from_utf8(write("m.obj")).unwrap();
    assert!(obj.contains("v 2 0 0 0.0000 1.0000 0.0000\n") && obj.contains("f 2//2 3//3 4//4\n"));
    let glb = write("m.glb");
    let word = |at: usize| u32::from_le_bytes(glb[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(word(8), glb.len());
    let document: Value = serde_json::from_slice(&glb[20..20 + word(12)]).unwrap();
    // z is up in the scene, y in glTF.
    assert_eq!(document["accessors"][0]["max"], json!([2.0, 4.0, 0.0]));
    assert_eq!(document["accessors"][0]["min"], json!([0.0, 0.0, -3.0]));
    let binary = 20 + word(12) + 8;
    let colors = binary + document["bufferViews"][2]["byteOffset"].as_u64().unwrap() as usize;
    let gray = u16::from_le_bytes(glb[colors + 24..colors + 26].try_into().unwrap());
    assert_eq!(gray, (0.215_86f64 * 65535.0).round() as u16, "linear light");
    assert!(MeshFormat::of_name(Path::new("m.stl")).is_err());
}

/// A Blender capture of the ball.
fn write_capture(folder: &Path) {
    const SIDE: u32 = 32;
    std::fs::create_dir_all(folder.join("train")).unwrap();
    let frames = |range: std::ops::Range<u32>| {
        let frames: Vec<Value> = range
            .map(|i| {
                let camera = camera(i, SIDE);
                let view = look_at_ball(&camera);
                let name = format!("train/r_{i}");
                let rgba: Vec<u8> = view.rgba.concat();
                let path = folder.join(format!("{name}.png"));
                image::save_buffer(path, &rgba, SIDE, SIDE, image::ColorType::Rgba8).unwrap();
                let matrix = camera
                    .camera_to_world_opengl()
                    .transpose()
                    .to_cols_array_2d();
                json!({ "file_path": format!("./{name}"), "transform_matrix": matrix })
            })
            .collect();
        json!({ "camera_angle_x": 2.0 * (1.0f64 / 2.2).atan(), "frames": frames }).to_string()
    };
    std::fs::write(folder.join("transforms_train.json"), frames(0..14)).unwrap();
    std::fs::write(folder.join("transforms_test.json"), frames(14..17)).unwrap();
    std::fs::write(folder.join("transforms_val.json"), frames(14..17)).unwrap();
}

fn luxedit(args: &[&str]) -> (bool, Value, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_luxedit"))
        .args(args)
        .output()
        .unwrap();
    let json = serde_json::from_slice(&out.stdout).unwrap_or(Value::Null);
    (
        out.status.success(),
        json,
        String::from_utf8_lossy(&out.stderr).into_owned(),
    )
}

#[test]
fn a_luxen_is_delivered_as_splats_as_a_mesh_and_as_points() {
    if let Err(e) = Gpu::headless() {
        println!("SKIPPED: {e}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (capture, scene) = (path("ball"), path("ball.luxedit"));
    write_capture(Path::new(&capture));
    let (ok, _, errors) = luxedit(&[
        "reconstruct",
        &capture,
        "-o",
        &scene,
        "--kind",
        "luxen",
        "--luxen-size",
        "small",
        "--luxen-rays",
        "512",
        "--steps",
        "400",
        "--json",
    ]);
    assert!(ok, "{errors}");

    let ply = path("ball.ply");
    let (ok, told, errors) = luxedit(&["convert", &scene, &ply, "--steps", "300", "--json"]);
    assert!(ok, "{errors}");
    println!("{}", told["delivered"]);
    assert_eq!(told["delivered"]["views"], 3);
    assert_eq!(told["delivered"]["steps"], 300);
    assert!(told["delivered"]["psnr"].as_f64().unwrap() > 25.0, "{told}");
    let splats = read_splats(Path::new(&ply)).unwrap();
    assert_eq!(
        splats.len() as u64,
        told["delivered"]["splats"].as_u64().unwrap()
    );

    let obj = path("ball.obj");
    let (ok, _, errors) = luxedit(&["convert", &scene, &obj, "--resolution", "40", "--json"]);
    assert!(ok, "{errors}");
    let text = std::fs::read_to_string(&obj).unwrap();
    let (mut on_ball, mut vertices) = (0, 0);
    for line in text.lines().filter(|l| l.starts_with("v ")) {
        let words: Vec<f64> = line.split(' ').skip(1).flat_map(str::parse).collect();
        let distance = DVec3::from_slice(&words[..3]).length();
        on_ball += usize::from((distance - BALL).abs() < 0.1);
        vertices += 1;
    }
    println!("{on_ball} of {vertices} vertices on the ball");
    assert!(vertices > 500 && on_ball * 10 > vertices * 7);

    let half = path("half.ply");
    let (ok, _, errors) = luxedit(&[
        "convert",
        &scene,
        &half,
        "--as",
        "mesh",
        "--resolution",
        "40",
        "--crop",
        "-1 -1 0 1 1 1",
        "--json",
    ]);
    assert!(ok, "{errors}");
    let cut = luxedit::formats::ply::read_points(Path::new(&half)).unwrap();
    let lowest = cut
        .positions
        .iter()
        .map(|p| p.z)
        .fold(f64::INFINITY, f64::min);
    println!(
        "cut at z = 0: {} vertices, the lowest at {lowest:.3}",
        cut.positions.len()
    );
    assert!(
        cut.positions.len() > 200 && (-0.1..0.2).contains(&lowest),
        "{lowest}"
    );
    let (ok, _, errors) = luxedit(&["convert", &scene, &half, "--crop", "1 2 3"]);
    assert!(!ok && errors.contains("six numbers"), "{errors}");

    let cloud = path("cloud.ply");
    let (ok, _, errors) = luxedit(&["convert", &scene, &cloud, "--as", "points", "--json"]);
    assert!(ok, "{errors}");
    let points = luxedit::formats::ply::read_points(Path::new(&cloud)).unwrap();
    let on_ball = points
        .positions
        .iter()
        .filter(|p| (p.length() - BALL).abs() < 0.1)
        .count();
    println!("{on_ball} of {} points on the ball", points.positions.len());
    assert!(points.positions.len() > 100 && on_ball * 10 > points.positions.len() * 8);
}

/// The upper half of the ball, as a file without a capture.
fn dome() -> Splats {
    const COUNT: usize = 6000;
    let mut splats = Splats {
        sh_degree: 0,
        antialiased: false,
        means: Vec::new(),
        quats: [1.0, 0.0, 0.0, 0.0].repeat(COUNT),
        log_scales: vec![0.015f32.ln(); 3 * COUNT],
        logit_opacities: vec![4.0; COUNT],
        sh_dc: vec![0.3; 3 * COUNT],
        sh_rest: Vec::new(),
    };
    for i in 0..COUNT {
        // Evenly over the surface (Fibonacci).
        let z = (i as f64 + 0.5) / COUNT as f64;
        let angle = i as f64 * PI * (3.0 - 5f64.sqrt());
        let (sine, cosine) = angle.sin_cos();
        let around = (1.0 - z * z).sqrt();
        let place = BALL * DVec3::new(around * cosine, around * sine, z);
        splats.means.extend(place.as_vec3().to_array());
    }
    splats
}

#[test]
fn a_splat_file_is_looked_at_from_all_around() {
    if let Err(e) = Gpu::headless() {
        println!("SKIPPED: {e}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let half = path("half_ball.ply");
    write_splats(Path::new(&half), &dome(), SplatFormat::Ply).unwrap();
    let mesh = |name: &str, more: &[&str]| {
        let out = path(name);
        let mut args = vec!["convert", &half, &out, "--as", "mesh", "--resolution", "40"];
        args.extend(more);
        args.push("--json");
        let (ok, _, errors) = luxedit(&args);
        assert!(ok, "{errors}");
        std::fs::read(out).unwrap()
    };
    let text = String::from_utf8(mesh("dome.obj", &[])).unwrap();
    let (mut on_dome, mut on_lid, mut vertices, mut highest) = (0, 0, 0, f64::MIN);
    for line in text.lines().filter(|l| l.starts_with("v ")) {
        let words: Vec<f64> = line.split(' ').skip(1).flat_map(str::parse).collect();
        let place = DVec3::from_slice(&words[..3]);
        if (place.length() - BALL).abs() < 0.1 && place.z > -0.1 {
            on_dome += 1;
        } else if place.length() < BALL && place.z.abs() < 0.1 {
            // The border at z = 0 is closed by what no picture saw into.
            on_lid += 1;
        }
        highest = highest.max(place.z);
        vertices += 1;
    }
    println!("{on_dome} of {vertices} vertices on the dome, {on_lid} below it, up to {highest:.3}");
    assert!(vertices > 300 && on_dome * 10 > vertices * 7);
    assert!((on_dome + on_lid) * 10 > vertices * 9);
    assert!((highest - BALL).abs() < 0.1, "{highest}");

    // Lying with its axis across, where x is up.
    let glb = mesh("dome.glb", &["--up", "x"]);
    let length = u32::from_le_bytes(glb[12..16].try_into().unwrap()) as usize;
    let document: Value = serde_json::from_slice(&glb[20..20 + length]).unwrap();
    let accessor = &document["accessors"][0];
    let extent = |k: usize| {
        let bound = |which: &str| accessor[which][k].as_f64().unwrap();
        bound("max") - bound("min")
    };
    println!("extents {:.3} {:.3} {:.3}", extent(0), extent(1), extent(2));
    assert!(extent(1) > 0.85 && extent(2) > 0.85 && extent(0) < 0.75);
}
