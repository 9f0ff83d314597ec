//! Where splats start.

use super::fixture::cameras;
use glam::DVec3;
use luxedit::{
    scene::{Dataset, DatasetKind, Photo, PointCloud, Split, View, WorldFromFile},
    splat::{InitConfig, initialize},
};

fn dataset(kind: DatasetKind, points: Option<PointCloud>) -> Dataset {
    let cameras = cameras(12, 64);
    let views: Vec<View> = cameras
        .iter()
        .enumerate()
        .map(|(i, camera)| View {
            name: format!("{i}.png"),
            image_path: format!("{i}.png").into(),
            camera: *camera,
            photo: Photo::new(64, 64, vec![90; 64 * 64 * 3]),
            alpha: None,
            mask: None,
        })
        .collect();
    Dataset {
        source: "synthetic".into(),
        kind,
        split: Split {
            train: (0..views.len()).collect(),
            eval: Vec::new(),
        },
        views,
        points,
        world_from_file: WorldFromFile::IDENTITY,
        applied_scale: 1.0,
        background: [1.0; 3],
        up: None,
        missing: Vec::new(),
        warnings: Vec::new(),
        listed: 12,
    }
}

#[test]
fn splats_start_on_the_points() {
    let spacing = 0.125;
    let positions: Vec<DVec3> = (0..5)
        .flat_map(|x| {
            (0..5).flat_map(move |y| (0..5).map(move |z| DVec3::new(x.into(), y.into(), z.into())))
        })
        .map(|p| p * spacing)
        .collect();
    let colors = vec![[255, 0, 51]; positions.len()];
    let points = PointCloud { positions, colors };
    let config = InitConfig::default();
    let splats =
        initialize(&dataset(DatasetKind::Colmap, Some(points.clone())), &config).expect("splats");
    assert!(splats.is_consistent());
    assert_eq!((splats.len(), splats.sh_degree), (125, 3));
    let expected = (spacing * config.scale_factor).ln() as f32;
    assert!(
        splats
            .log_scales
            .iter()
            .all(|s| (s - expected).abs() < 1e-5)
    );
    for (i, p) in points.positions.iter().enumerate() {
        assert_eq!(splats.means[i * 3..i * 3 + 3], p.as_vec3().to_array());
        for (c, expected) in [1.0, 0.0, 0.2].into_iter().enumerate() {
            let color = 0.5 + 0.282_094_8 * splats.sh_dc[i * 3 + c];
            assert!((color - expected).abs() < 1e-4, "{color}");
        }
    }
    for q in splats.quats.as_chunks::<4>().0 {
        let norm: f32 = q.iter().map(|v| v * v).sum();
        assert!((norm - 1.0).abs() < 1e-5);
    }
    let opacity = 1.0 / (1.0 + (-splats.logit_opacities[0]).exp());
    assert!((opacity - config.opacity).abs() < 1e-5);
}

#[test]
fn without_points_splats_start_where_several_cameras_look() {
    for kind in [DatasetKind::Nerfstudio, DatasetKind::Blender] {
        let dataset = dataset(kind, None);
        let config = InitConfig {
            random_count: 500,
            sh_degree: 2,
            ..InitConfig::default()
        };
        let splats = initialize(&dataset, &config).expect("splats");
        assert!(splats.is_consistent());
        assert_eq!((splats.len(), splats.sh_degree), (500, 2));
        for mean in splats.means.as_chunks::<3>().0 {
            let p = DVec3::from_array(mean.map(f64::from));
            let seen = dataset
                .views
                .iter()
                .filter(|view| {
                    let (pixel, depth) = view.camera.project(p);
                    depth > 0.0 && pixel.min_element() > -1e-3 && pixel.max_element() < 64.001
                })
                .count();
            assert!(seen >= 2, "{p} is seen {seen} times");
        }
        assert!(
            splats
                .log_scales
                .iter()
                .all(|s| s.is_finite() && s.exp() < 100.0)
        );
        assert_eq!(splats, initialize(&dataset, &config).expect("splats"));
        let other = InitConfig { seed: 1, ..config };
        assert_ne!(splats, initialize(&dataset, &other).expect("splats"));
    }
    let mut none = dataset(DatasetKind::Nerfstudio, None);
    none.split.train.clear();
    println!(
        "{}",
        initialize(&none, &InitConfig::default()).expect_err("no views")
    );
}

#[test]
fn photos_that_show_only_background_leave_nothing() {
    let mut empty = dataset(DatasetKind::Blender, None);
    for view in &mut empty.views {
        view.photo = Photo::new(64, 64, vec![255; 64 * 64 * 3]);
    }
    println!(
        "{}",
        initialize(&empty, &InitConfig::default()).expect_err("nothing to see")
    );
}
