//! Checkpoints of nerfstudio's: a nerfacto is the same field here as there, splatfacto's splats are the same splats
//! (`tests/fixtures/nerfstudio/make.py`, with nerfstudio 1.1.5).

use crate::{luxen_field::Field, luxen_scene::gpu, luxen_twin as twin};
use glam::{DMat4, DVec3, DVec4};
use luxedit::{
    edit::luxen_of,
    formats::{
        Info, SplatFormat, inspect, is_splat_scene,
        nerfstudio::{self, ModelKind, Options},
        splats::{read_splats, recognize},
    },
    gpu::GpuImage,
    luxen::{
        Background, CameraPoses, GridConfig, GridSemantics, GridShape, LuxenConfig, LuxenState,
        LuxenTrainer,
    },
    scene::{Camera, Intrinsics},
    worker::{Command, Event, Job, WorkerHandle, convert},
};
use safetensors::SafeTensors;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/nerfstudio")
        .join(name)
}

fn tensor(file: &str, name: &str) -> Vec<f32> {
    let bytes = std::fs::read(fixture(file)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor(name).unwrap().data().to_vec();
    data.as_chunks()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

fn expected(name: &str) -> Vec<f32> {
    tensor("expected.safetensors", name)
}

fn nerfacto() -> LuxenState {
    let (file, kind) = nerfstudio::find(&fixture("nerfacto")).unwrap().unwrap();
    assert_eq!(kind, ModelKind::Nerfacto);
    let (state, warnings) = luxen_of(&nerfstudio::read(&file).unwrap()).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    state
}

fn assert_near(what: &str, got: f64, expected: f32, relative: f64) {
    let expected = f64::from(expected);
    assert!(
        (got - expected).abs() <= relative * expected.abs().max(1e-3),
        "{what}: {got} instead of {expected}"
    );
}

#[test]
fn a_nerfacto_has_the_densities_and_colors_that_nerfstudio_gives_it() {
    let state = nerfacto();
    let LuxenConfig {
        semantics,
        grid,
        proposals,
        samples,
        near,
        far,
        average_density,
        background,
        ..
    } = state.config;
    assert_eq!(semantics, GridSemantics::Hashed);
    assert_eq!((grid.max_resolution, grid.log2_entries), (64, 6));
    assert_eq!(
        proposals.map(|p| (p.base_resolution, p.max_resolution)),
        [(4, 16), (4, 32)]
    );
    assert_eq!(
        (samples, near, far, average_density),
        ([256, 96, 48], 0.1, 30.0, 0.01)
    );
    assert_eq!(
        (background, state.progress.views),
        (Background::LastSample, 3)
    );

    let shape = state.shape();
    let wide = |g: &Vec<f32>| g.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    let mut groups: Vec<Vec<f64>> = state.parameters().unwrap().iter().map(wide).collect();
    // Evaluation takes the mean appearance: a row of its own.
    let table = groups[6].clone();
    groups[6].extend((0..32).map(|c| (0..3).map(|v| table[32 * v + c]).sum::<f64>() / 3.0));
    let field = Field {
        config: &state.config,
        shape: &shape,
        groups,
    };
    let (points, directions) = (expected("points"), expected("directions"));
    let (density, rgb) = (expected("density"), expected("rgb"));
    let of_proposals = [expected("proposal_0"), expected("proposal_1")];
    let row = |values: &[f32], i: usize| -> twin::V3 {
        std::array::from_fn(|c| f64::from(values[3 * i + c]))
    };
    for i in 0..density.len() {
        let point = row(&points, i);
        let (got, color) = field.radiance(point, row(&directions, i), 3);
        assert_near("density", got, density[i], 1e-3);
        for c in 0..3 {
            assert!(
                (color[c] - f64::from(rgb[3 * i + c])).abs() < 1e-4,
                "color {i}"
            );
        }
        for (level, expected) in of_proposals.iter().enumerate() {
            assert_near("proposal", field.proposal(level, point), expected[i], 1e-3);
        }
    }
    let spread = |values: &[f32]| {
        let (low, high) = values
            .iter()
            .fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        high - low
    };
    assert!(
        spread(&rgb) > 0.1 && spread(&density) > 0.1,
        "the fixture says nothing"
    );
}

#[test]
fn a_nerfacto_is_drawn_as_nerfstudio_draws_it() {
    let Some(gpu) = gpu() else { return };
    let mut state = nerfacto();
    // In evaluation, nerfstudio's rays begin at the camera.
    state.config.near = 1e-6;
    let mut trainer = LuxenTrainer::from_state(gpu.clone(), &state).unwrap();
    let intrinsics = Intrinsics {
        fx: 11.0,
        fy: 11.0,
        cx: 6.0,
        cy: 5.0,
        width: 12,
        height: 10,
    };
    let camera = Camera::look_at(
        DVec3::new(1.2, -0.9, 0.7),
        DVec3::ZERO,
        DVec3::Z,
        intrinsics,
    );
    let image = GpuImage::new(&gpu, 12, 10);
    trainer.render(&camera, None, &image).unwrap();
    let got = image.read_rgba(&gpu).unwrap();
    let (rgb, opacity) = (expected("picture"), expected("accumulation"));
    let mut worst = 0.0f32;
    for (i, pixel) in got.chunks(4).enumerate() {
        for c in 0..3 {
            worst = worst.max((pixel[c] - rgb[3 * i + c]).abs());
        }
        worst = worst.max((pixel[3] - opacity[i]).abs());
    }
    println!("worst difference {worst:.2e}");
    assert!(worst < 2e-3, "{worst}");
}

/// The floor in f32 makes the finest published level one cell coarser than its formula (nerfstudio's `scalings`).
#[test]
fn scales_of_hashed_levels_are_nerfstudios() {
    let finest = |levels, base_resolution, max_resolution| {
        let config = GridConfig {
            levels,
            base_resolution,
            max_resolution,
            log2_entries: 4,
        };
        let shape = GridShape::new(&config, GridSemantics::Hashed);
        shape
            .levels
            .iter()
            .map(|l| l.scale as u32)
            .collect::<Vec<_>>()
    };
    assert_eq!(finest(16, 16, 2048).last(), Some(&2047));
    assert_eq!(finest(16, 16, 1024).last(), Some(&1024));
    assert_eq!(finest(5, 16, 128).last(), Some(&128));
    assert_eq!(finest(5, 16, 512).last(), Some(&511));
    let all = [4, 4, 5, 6, 8, 10, 12, 14, 17, 21, 25, 30, 36, 44, 53, 63];
    assert_eq!(finest(16, 4, 64), all);
}

#[test]
fn splatfactos_splats_are_read_and_told_apart() {
    for (degree, coefficients) in [(3, 15), (0, 0)] {
        let path = fixture(&format!("splatfacto-{degree}.ckpt"));
        let recognized = recognize(&path).unwrap().unwrap();
        assert_eq!(recognized.format, SplatFormat::Splatfacto);
        assert!(is_splat_scene(&path).unwrap());
        let splats = read_splats(&path).unwrap();
        assert!(splats.is_consistent());
        assert_eq!((splats.sh_degree, splats.len()), (degree, 20));
        let named = |name: &str| tensor(&format!("splatfacto-{degree}.safetensors"), name);
        assert_eq!(splats.means, named("means"));
        assert_eq!(splats.quats, named("quats"));
        assert_eq!(splats.log_scales, named("scales"));
        assert_eq!(splats.logit_opacities, named("opacities"));
        assert_eq!(splats.sh_rest.len(), 20 * coefficients * 3);
        if degree == 0 {
            // A color behind a sigmoid.
            for (dc, logit) in splats.sh_dc.iter().zip(named("features_dc")) {
                let color = 0.5 + 0.282_094_8 * dc;
                assert!((color - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
            }
        } else {
            assert_eq!(splats.sh_dc, named("features_dc"));
            assert_eq!(splats.sh_rest, named("features_rest"));
        }
    }
    let Info::Luxen(info) = inspect(&fixture("nerfacto")).unwrap() else {
        panic!("no Luxen");
    };
    assert_eq!((info.steps, info.views, info.has_config), (30_000, 3, true));
    let refused = read_splats(&fixture("nerfacto/nerfstudio_models/step-000029999.ckpt"));
    assert!(refused.is_err());
}

/// Values by their path, whatever Python objects stand around them.
#[test]
fn a_configuration_is_read_without_its_objects() {
    let text = std::fs::read_to_string(fixture("nerfacto/config.yml")).unwrap();
    let options = Options::parse(Path::new("config.yml"), &text);
    assert_eq!(options.number("max_res").unwrap(), Some(64.0));
    assert_eq!(
        options.count("num_proposal_samples_per_ray.1").unwrap(),
        Some(96)
    );
    assert_eq!(
        options.count("proposal_net_args_list.1.max_res").unwrap(),
        Some(32)
    );
    assert_eq!(options.text("camera_optimizer.mode"), Some("SO3xR3"));
    assert_eq!(options.text("camera_optimizer"), None);
    assert_eq!(
        options.flag("disable_scene_contraction").unwrap(),
        Some(false)
    );
    let other = Options::parse(
        Path::new("config.yml"),
        "trainer:\n  model:\n    max_res: 3\npipeline:\n  model:\n    a:\n    - x: 1\n    - x: 2\n      y: z\n",
    );
    assert_eq!(other.text("max_res"), None);
    assert_eq!(
        (other.text("a.1.x"), other.text("a.1.y")),
        (Some("2"), Some("z"))
    );
}

/// Its corrections are in the world, behind the capture's poses.
#[test]
fn a_nerfactos_cameras_stay_where_they_have_got_to() {
    let Some(gpu) = gpu() else { return };
    let (file, _) = nerfstudio::find(&fixture("nerfacto")).unwrap().unwrap();
    let mut model = nerfstudio::read(&file).unwrap();
    let learnt = model
        .tensors
        .get_mut("camera_optimizer.pose_adjustment")
        .expect("a camera optimizer");
    learnt.data[6..12].copy_from_slice(&[0.1, -0.2, 0.3, 0.0, 0.0, std::f32::consts::FRAC_PI_2]);
    let (state, warnings) = luxen_of(&model).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(state.config.poses, CameraPoses::Learnt);
    let mut trainer = LuxenTrainer::from_state(gpu, &state).unwrap();
    let center = DVec3::new(1.0, 2.0, 3.0);
    let camera = Camera {
        world_to_camera: DMat4::from_translation(-center),
        intrinsics: Intrinsics {
            fx: 8.0,
            fy: 8.0,
            cx: 4.0,
            cy: 3.0,
            width: 8,
            height: 6,
        },
    };
    let unmoved = trainer.view_camera(0, &camera).unwrap().camera_to_world();
    assert!(unmoved.abs_diff_eq(camera.camera_to_world(), 1e-12));
    let moved = trainer.view_camera(1, &camera).unwrap().camera_to_world();
    let expected = DMat4::from_cols(
        DVec4::Y,
        -DVec4::X,
        DVec4::Z,
        (center + DVec3::new(0.1, -0.2, 0.3)).extend(1.0),
    );
    assert!(moved.abs_diff_eq(expected, 1e-6), "{moved}");

    let text = "pipeline:\n  model:\n    camera_optimizer:\n      mode: SE3\n";
    model.options = Some(Options::parse(Path::new("config.yml"), text));
    let (state, warnings) = luxen_of(&model).unwrap();
    assert_eq!(state.config.poses, CameraPoses::Given);
    assert!(warnings[0].contains("SE3"), "{warnings:?}");
}

/// What a Luxen has not is said by name.
#[test]
fn other_nerfactos_are_refused_in_words() {
    let (file, _) = nerfstudio::find(&fixture("nerfacto")).unwrap().unwrap();
    let model = nerfstudio::read(&file).unwrap();
    let refusal = |change: &dyn Fn(&mut nerfstudio::Model)| {
        let mut model = model.clone();
        change(&mut model);
        luxen_of(&model).expect_err("a refusal").to_string()
    };
    let base = "field.mlp_base.model.0.hash_table";
    let tcnn = refusal(&|m| {
        if let Some(table) = m.tensors.remove(base) {
            m.tensors
                .insert("field.mlp_base.tcnn_encoding.params".into(), table);
        }
    });
    assert!(
        tcnn.contains("--pipeline.model.implementation torch"),
        "{tcnn}"
    );
    let flat = refusal(&|m| {
        m.options = Some(Options::parse(
            Path::new("config.yml"),
            "pipeline:\n  model:\n    disable_scene_contraction: true\n",
        ));
    });
    assert!(flat.contains("scene contraction"), "{flat}");
    for (value, said) in [
        ("near_plane: soon", "near_plane: soon"),
        ("far_plane: .inf", "far_plane: .inf"),
        ("base_res: -16", "base_res: -16"),
        ("disable_scene_contraction: perhaps", "true or false"),
    ] {
        let unreadable = refusal(&|m| {
            let text = format!("pipeline:\n  model:\n    {value}\n");
            m.options = Some(Options::parse(Path::new("run/config.yml"), &text));
        });
        assert!(
            unreadable.contains("run/config.yml") && unreadable.contains(said),
            "{unreadable}"
        );
    }
    let lacking = refusal(&|m| {
        m.tensors.remove("field.mlp_head.layers.1.bias");
    });
    assert!(
        lacking.contains("field.mlp_head.layers.1.bias"),
        "{lacking}"
    );
    let mut without = model.clone();
    without.options = None;
    let (state, warnings) = luxen_of(&without).unwrap();
    assert!(warnings[0].contains("no config.yml"), "{warnings:?}");
    let LuxenConfig { grid, near, .. } = state.config;
    assert_eq!(
        (grid.base_resolution, grid.max_resolution, near),
        (16, 64, 0.05)
    );
}

#[test]
fn checkpoints_open_in_the_program_and_convert() {
    let folder = tempfile::tempdir().unwrap();
    let ply = folder.path().join("splats.ply");
    let splatfacto = fixture("splatfacto-3.ckpt");
    let conversion = convert(&splatfacto, &ply, &[]).unwrap();
    assert_eq!(
        (conversion.input_format, conversion.splats),
        (SplatFormat::Splatfacto, 20)
    );
    assert_eq!(
        read_splats(&ply).unwrap().means,
        read_splats(&splatfacto).unwrap().means
    );

    let Some(gpu) = gpu() else { return };
    let worker = WorkerHandle::spawn(gpu, || {}).unwrap();
    for path in [fixture("nerfacto"), splatfacto] {
        worker.send(Command::Open(path.clone())).unwrap();
        let mut opened = None;
        loop {
            match worker.events.recv_timeout(Duration::from_secs(60)).unwrap() {
                Event::Error(problem) => panic!("{}: {problem}", path.display()),
                Event::Opened(info) => opened = Some((info.has_splats, info.radius)),
                Event::Done { job: Job::Open, .. } => break,
                _ => {}
            }
        }
        let (has_scene, radius) = opened.expect("what was opened");
        assert!(has_scene && radius > 0.0);
    }
    worker.shut_down();
}
