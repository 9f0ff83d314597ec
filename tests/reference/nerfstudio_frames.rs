//! Captures where the runs of nerfstudio had them that were trained on them.

use crate::{luxen_scene::gpu, nerfstudio::fixture};
use glam::{DMat4, DQuat, DVec3, DVec4};
use luxedit::{
    edit::Look,
    error::Cancel,
    formats::{LoadOptions, nerfstudio, open_dataset, picture::write_png, read_camera_path},
    scene::{Dataset, Photo, WorldFromFile},
    worker::{Command, Event, RenderFormat, WorkerHandle},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

fn rows(m: &DMat4) -> [[f64; 4]; 4] {
    m.transpose().to_cols_array_2d()
}

/// Photos, whose poses were changed before they were written, which the file may say.
struct Captured {
    folder: PathBuf,
    applied: DMat4,
    /// Where the cameras' centers were found.
    found: Vec<DVec3>,
}

impl Captured {
    fn write(folder: PathBuf, applied: DMat4, is_said: bool) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let found: Vec<DMat4> = (0..4)
            .map(|i| {
                let angle = f64::from(i);
                let turn = DQuat::from_euler(glam::EulerRot::XYZ, 0.3 * angle, 0.2, angle);
                DMat4::from_rotation_translation(turn, DVec3::new(angle, 2.0 - angle, 0.5 * angle))
            })
            .collect();
        let photo = Photo::new(8, 6, vec![90; 8 * 6 * 3]);
        let mut frames = Vec::new();
        for (i, pose) in found.iter().enumerate() {
            let name = format!("{i}.png");
            write_png(&folder.join(&name), &photo).unwrap();
            // Scaled after they were moved.
            let mut written = applied * *pose;
            written.w_axis *= DVec4::new(2.0, 2.0, 2.0, 1.0);
            frames
                .push(serde_json::json!({ "file_path": name, "transform_matrix": rows(&written) }));
        }
        let mut json = serde_json::json!({
            "fl_x": 8.0, "fl_y": 8.0, "cx": 4.0, "cy": 3.0, "w": 8, "h": 6,
            "applied_scale": 2.0,
            "frames": frames,
        });
        if is_said {
            json["applied_transform"] = serde_json::json!(rows(&applied)[..3]);
        }
        std::fs::write(folder.join("transforms.json"), json.to_string()).unwrap();
        Self {
            folder,
            applied,
            found: found.iter().map(|m| m.w_axis.truncate()).collect(),
        }
    }

    /// nerfstudio's own of COLMAP's world, and a shift that it never makes.
    fn usual(folder: PathBuf) -> Self {
        let applied = DMat4::from_cols_array_2d(&[
            [1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, -1.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0.1, 0.2, 0.3, 1.0],
        ]);
        Self::write(folder, applied, true)
    }

    /// As `dataparser_transforms.json` says it; 0.4 of the written poses, which were scaled by 2 already.
    fn frame_of_run(&self) -> WorldFromFile {
        WorldFromFile {
            rotation_translation: parser() * self.applied,
            scale: 0.8,
        }
    }

    /// Centers where that run had them.
    fn at_run(&self) -> Vec<DVec3> {
        let at = |found: &DVec3| {
            let written = 2.0 * self.applied.transform_point3(*found);
            0.4 * parser().transform_point3(written)
        };
        self.found.iter().map(at).collect()
    }

    fn opened(&self, frame: Option<WorldFromFile>) -> luxedit::Result<(Vec<DVec3>, Dataset)> {
        let options = LoadOptions {
            frame,
            ..Default::default()
        };
        let none = Cancel::default();
        let dataset = open_dataset(&self.folder, &options, &|_, _| {}, &none)?;
        let positions = dataset.views.iter().map(|v| v.camera.position()).collect();
        Ok((positions, dataset))
    }
}

/// What a data parser did with the poses, other than the usual.
fn parser() -> DMat4 {
    let turn = DQuat::from_euler(glam::EulerRot::ZYX, 0.4, -0.2, 1.0);
    DMat4::from_rotation_translation(turn, DVec3::new(-0.5, 0.25, 2.0))
}

fn assert_same(got: &[DVec3], expected: &[DVec3]) {
    assert_eq!((got.len(), expected.len()), (4, 4));
    for (got, expected) in got.iter().zip(expected) {
        assert!(got.abs_diff_eq(*expected, 1e-6), "{got} {expected}");
    }
}

/// A run's folder with splats, and its frame where it says one.
fn write_run(folder: &Path, frame: Option<&WorldFromFile>) {
    std::fs::create_dir_all(folder.join("nerfstudio_models")).unwrap();
    let checkpoint = folder.join("nerfstudio_models/step-000000001.ckpt");
    std::fs::copy(fixture("splatfacto-3.ckpt"), checkpoint).unwrap();
    if let Some(frame) = frame {
        write_frame(folder, frame);
    }
}

fn write_frame(folder: &Path, frame: &WorldFromFile) {
    let json = serde_json::json!({
        "transform": rows(&frame.rotation_translation)[..3],
        "scale": frame.scale,
    });
    std::fs::write(folder.join("dataparser_transforms.json"), json.to_string()).unwrap();
}

#[test]
fn a_capture_is_opened_where_a_run_had_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let captured = Captured::usual(folder.path().join("data"));
    write_run(&run, None);
    assert_eq!(nerfstudio::frame_of(&run).unwrap(), None);
    write_frame(&run, &captured.frame_of_run());
    for named in [&run, &run.join("nerfstudio_models/step-000000001.ckpt")] {
        let frame = nerfstudio::frame_of(named).unwrap().expect("a frame");
        let (positions, dataset) = captured.opened(Some(frame)).unwrap();
        assert_same(&positions, &captured.at_run());
        assert!((dataset.world_from_file.scale - 0.4).abs() < 1e-12);
        // As the run's file says it, which nerfstudio takes depths by.
        assert!((dataset.dataparser_scale() - 0.8).abs() < 1e-12);
    }

    let refused = |transform: serde_json::Value, scale: f64| {
        let json = serde_json::json!({ "transform": transform, "scale": scale });
        std::fs::write(run.join("dataparser_transforms.json"), json.to_string()).unwrap();
        let refused = nerfstudio::frame_of(&run)
            .expect_err("no frame")
            .to_string();
        assert!(refused.contains("dataparser_transforms.json"), "{refused}");
        refused
    };
    let diagonal = |x: f64, shear: f64| {
        serde_json::json!([[x, shear, 0.0, 0.0], [0.0, x, 0.0, 0.0], [0.0, 0.0, x, 0.0]])
    };
    assert!(refused(diagonal(1.0, 2.0), 1.0).contains("shears"));
    assert!(refused(diagonal(2.0, 0.0), 1.0).contains("scales"));
    assert!(refused(diagonal(1.0, 1e-3), 1.0).contains("not exactly"));
    assert!(refused(serde_json::json!([[1.0, 2.0]]), 1.0).contains("3x4 numbers"));
    assert!(refused(diagonal(1.0, 0.0), 0.0).contains("scale 0"));
    assert!(refused(serde_json::json!("up"), 1.0).contains("is not what nerfstudio writes"));
    if let Some(window) = Window::open() {
        let problem = window.does(Command::OpenWithScene {
            capture: captured.folder.clone(),
            scene: run.clone(),
        });
        assert!(problem.unwrap_err().contains("dataparser_transforms.json"));
    }
}

/// nerfstudio's tools wrote no `applied_transform` once, and its data parser knows what they did.
#[test]
fn captures_of_older_tools_have_their_axes_swapped() {
    let folder = tempfile::tempdir().unwrap();
    let swapped = DMat4::from_cols_array_2d(&[
        [0.0, 1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, -1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
    .transpose();
    let captured = Captured::write(folder.path().join("data"), swapped, false);
    let frame = captured.frame_of_run();
    // No capture of COLMAP's: nothing was done to its poses but the scale.
    let as_written: Vec<DVec3> = captured
        .found
        .iter()
        .map(|found| {
            let written = 2.0 * swapped.transform_point3(*found);
            0.4 * frame.rotation_translation.transform_point3(written)
        })
        .collect();
    assert_same(&captured.opened(Some(frame)).unwrap().0, &as_written);
    std::fs::create_dir_all(captured.folder.join("colmap/sparse/0")).unwrap();
    assert_same(&captured.opened(Some(frame)).unwrap().0, &captured.at_run());
}

#[test]
fn what_was_done_to_poses_is_refused_in_words_where_it_matters() {
    let folder = tempfile::tempdir().unwrap();
    let captured = Captured::usual(folder.path().join("data"));
    let file = captured.folder.join("transforms.json");
    let text = std::fs::read_to_string(&file).unwrap();
    for (key, value, said) in [
        (
            "applied_transform",
            serde_json::json!(rows(&(2.0 * DMat4::IDENTITY))[..3]),
            "scales",
        ),
        ("applied_transform", serde_json::json!([1.0]), "3x4"),
        ("applied_scale", serde_json::json!(-1.0), "-1"),
    ] {
        let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json[key] = value;
        std::fs::write(&file, json.to_string()).unwrap();
        // Nobody asks where its own frame would be.
        captured.opened(None).unwrap();
        let refused = captured.opened(Some(captured.frame_of_run()));
        let refused = refused.unwrap_err().to_string();
        assert!(
            [key, said, "transforms.json"]
                .iter()
                .all(|w| refused.contains(w)),
            "{refused}"
        );
    }
}

/// The worker, as a window has it.
struct Window(WorkerHandle);

impl Window {
    fn open() -> Option<Self> {
        Some(Self(WorkerHandle::spawn(gpu()?, || {}).unwrap()))
    }

    /// The cameras' centers, where something was announced as open.
    fn does(&self, command: Command) -> Result<Option<Vec<DVec3>>, String> {
        self.0.send(command).unwrap();
        let (mut views, mut problem) = (None, None);
        loop {
            match self.0.events.recv_timeout(Duration::from_secs(60)).unwrap() {
                Event::Error(said) => problem = Some(said),
                Event::Opened(info) => {
                    views = Some(info.views.iter().map(|v| v.camera.position()).collect());
                }
                Event::Done { .. } => break,
                _ => {}
            }
        }
        problem.map_or(Ok(views), Err)
    }

    fn attach(&self, scene: &Path) -> Result<Option<Vec<DVec3>>, String> {
        self.does(Command::AttachSplats(scene.to_owned()))
    }

    /// Where the session has its capture (`None`), or puts one.
    fn cameras(&self, capture: Option<&Path>) -> Vec<DVec3> {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("cameras.json");
        let wrote = self.does(Command::Render {
            cameras: capture.map(Path::to_owned),
            orbit: None,
            path: None,
            frames_per_sec: None,
            side: None,
            output: output.clone(),
            format: RenderFormat::CameraPath,
            look: Look::Color,
        });
        wrote.unwrap();
        let path = read_camera_path(&output).unwrap();
        path.cameras.iter().map(|c| c.position()).collect()
    }

    fn assert_all_at(&self, captured: &Captured, positions: &[DVec3]) {
        assert_same(&self.cameras(None), positions);
        assert_same(&self.cameras(Some(&captured.folder)), positions);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.0.send(Command::ShutDown).ok();
    }
}

#[test]
fn a_capture_follows_the_run_that_becomes_its_scene() {
    let Some(window) = Window::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [run, silent] = ["run", "silent"].map(|name| folder.path().join(name));
    let captured = Captured::usual(folder.path().join("data"));
    write_run(&run, Some(&captured.frame_of_run()));
    write_run(&silent, None);
    let at_run = captured.at_run();
    let together = window.does(Command::OpenWithScene {
        capture: captured.folder.clone(),
        scene: run.clone(),
    });
    assert_same(&together.unwrap().expect("a capture"), &at_run);
    let own = window.does(Command::Open(captured.folder.clone()));
    let own = own.unwrap().expect("a capture");
    assert!(!own[0].abs_diff_eq(at_run[0], 0.1));
    assert_eq!(window.attach(&silent).unwrap(), None);
    window.assert_all_at(&captured, &own);
    let moved = window.attach(&run).unwrap();
    assert_same(&moved.expect("a capture that moved"), &at_run);
    window.assert_all_at(&captured, &at_run);
    assert_eq!(window.attach(&run).unwrap(), None);
    // A run that says nothing had it where captures are opened.
    let back = window.attach(&silent).unwrap();
    assert_same(&back.expect("a capture that moved back"), &own);
    window.assert_all_at(&captured, &own);
}

#[test]
fn a_run_that_cannot_be_followed_leaves_all_as_it_was() {
    let Some(window) = Window::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [run, silent, other] = ["run", "silent", "other"].map(|name| folder.path().join(name));
    let captured = Captured::usual(folder.path().join("data"));
    write_run(&run, Some(&captured.frame_of_run()));
    write_run(&silent, None);
    let own = window.does(Command::Open(captured.folder.clone()));
    let own = own.unwrap().expect("a capture");
    assert_eq!(window.attach(&silent).unwrap(), None);

    // The capture cannot be read again.
    let photo = captured.folder.join("3.png");
    let bytes = std::fs::read(&photo).unwrap();
    std::fs::write(&photo, &bytes[..bytes.len() / 2]).unwrap();
    let refused = window.attach(&run).unwrap_err();
    assert!(refused.contains("3.png"), "{refused}");
    std::fs::write(&photo, bytes).unwrap();
    window.assert_all_at(&captured, &own);

    // The scene is of another capture.
    std::fs::create_dir_all(other.join("nerfstudio_models")).unwrap();
    for file in ["config.yml", "nerfstudio_models"] {
        let from = fixture("nerfacto").join(file);
        if from.is_file() {
            std::fs::copy(from, other.join(file)).unwrap();
            continue;
        }
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), other.join(file).join(entry.file_name())).unwrap();
        }
    }
    write_frame(&other, &captured.frame_of_run());
    let refused = window.attach(&other).unwrap_err();
    assert!(refused.contains("another capture"), "{refused}");
    window.assert_all_at(&captured, &own);

    // A project's snapshots and edits are in its frame.
    window
        .0
        .send(Command::Project(folder.path().join("test.luxedit")))
        .unwrap();
    let refused = window.attach(&run).unwrap_err();
    assert!(
        refused.contains("another frame") && refused.contains("project"),
        "{refused}"
    );
    window.assert_all_at(&captured, &own);
}
