//! Cameras that Metashape and RealityCapture export.

use super::cameras_of_programs::{
    REALITY_CAPTURE_COLUMNS, metashape, metashape_camera, metashape_sensor, pose_matrix,
    reality_capture_row,
};
use super::scenes::{assert_says, fixtures, open, open_with, ramp, transforms_capture};
use glam::{DMat3, DMat4, DVec2, DVec3, DVec4};
use luxedit::formats::{Distortion, LoadOptions, Normalize, picture::write_png, read_capture};
use luxedit::scene::{Dataset, DatasetKind, WorldFromFile};
use std::path::{Path, PathBuf};

pub const PHOTOS: usize = 9;
pub const PLAIN: &str = "<f>45</f>";
pub const PLAIN_ROW: &str = "40.5,0,0,0,0,0,0,0,0";

pub fn photos(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for i in 0..PHOTOS {
        write_png(&folder.join(format!("{i:03}.png")), &ramp(40, 30)).unwrap();
    }
}

pub fn metashape_cameras(attributes: &str, moved: DMat4) -> String {
    (0..PHOTOS)
        .map(|i| {
            metashape_camera(
                &format!("{i:03}"),
                attributes,
                moved * pose_matrix(i, PHOTOS),
            )
        })
        .collect()
}

pub fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn in_the_files_frame(path: &Path) -> Dataset {
    let options = LoadOptions {
        normalize: Some(Normalize::NOTHING),
        ..Default::default()
    };
    open_with(path, &options).unwrap()
}

fn assert_same_cameras(dataset: &Dataset, file_from_world: DMat4) {
    assert_eq!(dataset.views.len(), PHOTOS);
    for (i, view) in dataset.views.iter().enumerate() {
        assert_eq!(view.name, format!("images/{i:03}.png"));
        let expected = file_from_world * pose_matrix(i, PHOTOS);
        let camera = view.camera;
        let axes = [camera.forward(), camera.up(), camera.position()];
        let [z, y, centre] =
            [expected.z_axis, expected.y_axis, expected.w_axis].map(|v| v.truncate());
        for (have, want) in axes.into_iter().zip([-z, y, centre]) {
            assert!(have.abs_diff_eq(want, 1e-9), "{i}: {have} is not {want}");
        }
    }
}

#[test]
fn the_same_cameras_come_out_of_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let nerfstudio = transforms_capture(folder.path(), PHOTOS, |value| value["fl_y"] = 45.0.into());
    let rows: String = (0..PHOTOS)
        .map(|i| reality_capture_row(&format!("{i:03}.png"), pose_matrix(i, PHOTOS), PLAIN_ROW))
        .collect();
    let files = [
        written(
            folder.path(),
            "cameras.xml",
            &metashape(
                &metashape_sensor("frame", PLAIN),
                &metashape_cameras("", DMat4::IDENTITY),
                "",
            ),
        ),
        written(
            folder.path(),
            "cameras.csv",
            &format!("{REALITY_CAPTURE_COLUMNS}{rows}"),
        ),
    ];
    let expected = in_the_files_frame(&nerfstudio);
    assert_same_cameras(&expected, DMat4::IDENTITY);
    for (file, kind) in files
        .iter()
        .zip([DatasetKind::Metashape, DatasetKind::RealityCapture])
    {
        let dataset = in_the_files_frame(file);
        assert_eq!(dataset.kind, kind);
        assert_eq!(dataset.split.eval, [0, 8]);
        assert_same_cameras(&dataset, DMat4::IDENTITY);
        for (have, want) in dataset.views.iter().zip(&expected.views) {
            assert_eq!(have.camera.intrinsics, want.camera.intrinsics);
            assert_eq!(have.photo, want.photo);
        }
    }
    // Two files in one folder are two captures; another reader's file goes before.
    assert_eq!(open(folder.path()).unwrap().kind, DatasetKind::Nerfstudio);
    std::fs::remove_file(nerfstudio).unwrap();
    assert_says(
        open(folder.path()),
        folder.path(),
        &["cameras.csv, cameras.xml", "open one"],
    );
    std::fs::remove_file(&files[0]).unwrap();
    assert_eq!(
        open(folder.path()).unwrap().kind,
        DatasetKind::RealityCapture
    );
}

/// Looking at the horizon to the north, then the east; then down, the picture's upper edge to the north, rolled to the right.
#[test]
fn headings_are_those_of_a_compass() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path());
    let attitudes = ["0,90,0", "90,90,0", "0,0,30"];
    let rows: String = attitudes
        .iter()
        .enumerate()
        .map(|(i, attitude)| format!("{i:03}.png,{i},2,3,{attitude},18\n"))
        .collect();
    let file = written(
        folder.path(),
        "c.csv",
        &format!("name,x,y,alt,Heading,pitch,roll,f\n{rows}"),
    );
    let views = in_the_files_frame(&file).views;
    assert_eq!(views.len(), attitudes.len());
    let (sin, cos) = 30f64.to_radians().sin_cos();
    let expected = [
        (DVec3::Y, DVec3::Z),
        (DVec3::X, DVec3::Z),
        (DVec3::new(-sin, 0.0, -cos), DVec3::Y),
    ];
    for (i, (view, (forward, up))) in views.iter().zip(expected).enumerate() {
        assert!(view.camera.forward().abs_diff_eq(forward, 1e-12), "{i}");
        assert!(view.camera.up().abs_diff_eq(up, 1e-12), "{i}");
        assert!(
            view.camera
                .position()
                .abs_diff_eq(DVec3::new(i as f64, 2.0, 3.0), 1e-12)
        );
        let k = view.camera.intrinsics;
        assert_eq!((k.fx, k.fy, k.cx, k.cy), (20.0, 20.0, 20.0, 15.0));
    }
}

#[test]
fn components_are_put_where_they_belong() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("images"));
    let rotation = DMat3::from_rotation_z(0.7) * DMat3::from_rotation_x(-0.3);
    let rows: Vec<String> = rotation
        .transpose()
        .to_cols_array()
        .iter()
        .map(f64::to_string)
        .collect();
    let transform = format!(
        "<transform><rotation locked=\"false\">{}</rotation><translation>1 -2 3</translation><scale>2.5</scale></transform>",
        rows.join(" ")
    );
    let component = format!(
        "<components next_id=\"1\"><component id=\"4\" label=\"Component 1\">{transform}</component></components>"
    );
    let placed = DMat4::from_scale_rotation_translation(
        DVec3::splat(2.5),
        glam::DQuat::from_mat3(&rotation),
        DVec3::new(1.0, -2.0, 3.0),
    );
    let sensor = metashape_sensor("frame", PLAIN);
    let name = "cameras.xml";
    for (attributes, rest) in [("component_id=\"4\"", &component), ("", &transform)] {
        let cameras = metashape_cameras(attributes, DMat4::IDENTITY);
        let file = written(folder.path(), name, &metashape(&sensor, &cameras, rest));
        let dataset = in_the_files_frame(&file);
        for (i, view) in dataset.views.iter().enumerate() {
            let pose = pose_matrix(i, PHOTOS);
            let centre = placed.transform_point3(pose.w_axis.truncate());
            assert!(view.camera.position().abs_diff_eq(centre, 1e-9));
            let up = rotation * pose.y_axis.truncate();
            assert!(view.camera.up().abs_diff_eq(up, 1e-9));
        }
        assert!(dataset.warnings.is_empty(), "{:?}", dataset.warnings);
    }
    // Components without a place in the world have nothing to do with each other.
    let apart = format!(
        "{}{}",
        metashape_cameras("component_id=\"0\"", DMat4::IDENTITY),
        metashape_camera("000", "component_id=\"1\"", pose_matrix(1, 3))
    );
    let file = written(folder.path(), name, &metashape(&sensor, &apart, ""));
    let dataset = in_the_files_frame(&file);
    assert_same_cameras(&dataset, DMat4::IDENTITY);
    let said = &dataset.warnings;
    assert!(
        said[0].contains("of 2 parts") && said[0].contains("1 photos"),
        "{said:?}"
    );
    // All that have one belong together.
    let place = |id: u32| {
        format!("<component id=\"{id}\"><transform><scale>2</scale></transform></component>")
    };
    let rest = format!(
        "<components>{}{}<component id=\"2\"/></components>",
        place(0),
        place(1)
    );
    let of = |i: usize, component: u32| {
        let attributes = format!("component_id=\"{component}\"");
        metashape_camera(&format!("{i:03}"), &attributes, pose_matrix(i, PHOTOS))
    };
    let cameras: String = (0..5)
        .zip([0, 1, 2, 2, 1])
        .map(|(i, component)| of(i, component))
        .collect();
    let file = written(folder.path(), name, &metashape(&sensor, &cameras, &rest));
    let capture = read_capture(&file, None).unwrap();
    let names: Vec<&str> = capture
        .frames
        .iter()
        .map(|frame| frame.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["images/000.png", "images/001.png", "images/004.png"]
    );
}

#[test]
fn lenses_of_metashape() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("images"));
    let cameras = metashape_cameras("", DMat4::IDENTITY);
    let lens = |kind: &str, values: &str| {
        let text = metashape(&metashape_sensor(kind, values), &cameras, "");
        let file = written(folder.path(), "cameras.xml", &text);
        let capture = read_capture(&file, None).unwrap();
        (capture.frames[0].lens, capture.warnings)
    };
    let values = "<f>45</f><cx>1.5</cx><cy>-2</cy><k1>-0.2</k1><k2>0.03</k2><k3>-0.004</k3><p1>0.01</p1><p2>-0.02</p2><b1>0.5</b1>";
    let (frame, warnings) = lens("frame", values);
    let k = frame.intrinsics;
    assert_eq!((k.fx, k.fy, k.cx, k.cy), (45.5, 45.0, 21.5, 13.0));
    assert!(warnings.is_empty(), "{warnings:?}");
    // The manual's equations.
    let (x, y) = (0.2, -0.1);
    let r2 = x * x + y * y;
    let radial = 1.0 - 0.2 * r2 + 0.03 * r2 * r2 - 0.004 * r2 * r2 * r2;
    let (p1, p2) = (0.01, -0.02);
    let expected = DVec2::new(
        x * radial + p1 * (r2 + 2.0 * x * x) + 2.0 * p2 * x * y,
        y * radial + p2 * (r2 + 2.0 * y * y) + 2.0 * p1 * x * y,
    );
    assert!(
        frame
            .distortion
            .distort(DVec2::new(x, y))
            .abs_diff_eq(expected, 1e-12)
    );
    let (fisheye, _) = lens("fisheye", "<f>20</f><k1>0.01</k1>");
    assert_eq!(
        fisheye.distortion,
        Distortion::Fisheye {
            k: [0.01, 0.0, 0.0, 0.0]
        }
    );
    let (fisheye, _) = lens("fisheye", "<f>20</f><k1>0.01</k1><p1>0.02</p1>");
    let p = [0.0, 0.02];
    let s = [0.0; 2];
    assert_eq!(
        fisheye.distortion,
        Distortion::ThinPrismFisheye {
            k: [0.01, 0.0, 0.0, 0.0],
            p,
            s
        }
    );
    for (values, part) in [
        ("<f>45</f><b2>9</b2>", "sheared"),
        ("<f>45</f><p3>1</p3>", "P3"),
    ] {
        let (_, warnings) = lens("frame", values);
        assert!(warnings[0].contains(part), "{warnings:?}");
    }
}

#[test]
fn lenses_of_reality_capture() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("images"));
    let row = reality_capture_row(
        "000.png",
        DMat4::IDENTITY,
        "27,0.01,-0.02,0.1,0.2,0.3,0.4,0.5,0.6",
    );
    let file = written(
        folder.path(),
        "c.csv",
        &format!("{REALITY_CAPTURE_COLUMNS}{row}"),
    );
    let lens = read_capture(&file, None).unwrap().frames[0].lens;
    let k = lens.intrinsics;
    assert_eq!((k.fx, k.fy, k.width, k.height), (30.0, 30.0, 40, 30));
    assert_eq!((k.cx, k.cy), (20.4, 14.2));
    let k = [0.1, 0.2, 0.3, 0.4];
    assert_eq!(lens.distortion, Distortion::Brown { k, p: [0.5, 0.6] });
    // Of smaller photos than those that were aligned.
    std::fs::rename(folder.path().join("images"), folder.path().join("images_2")).unwrap();
    let capture = read_capture(&file, None).unwrap();
    let k = capture.frames[0].lens.intrinsics;
    assert_eq!((capture.downscale, k.width, k.fx), (2, 80, 60.0));
}

#[test]
fn damaged_cameras_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("images"));
    let cameras = metashape_cameras("", DMat4::IDENTITY);
    let sensor = metashape_sensor("frame", PLAIN);
    let whole = metashape(&sensor, &cameras, "");
    let singular = whole.replace(" 0 0 0 1</transform>", " 0 0 0 0</transform>");
    assert_ne!(singular, whole);
    let huge = metashape_camera("000", "", DMat4::from_translation(DVec3::splat(1e200)));
    let far = "<transform><scale>1e200</scale></transform>";
    let attributes: String = (0..200).map(|i| format!(" a{i}=\"1\"")).collect();
    let xmls: [(String, &[&str]); 18] = [
        (
            metashape(
                &sensor,
                &metashape_camera("000", "", DMat4::from_scale(DVec3::new(-1.0, 1.0, 1.0))),
                "",
            ),
            &["camera 000", "mirrors"],
        ),
        (
            metashape(&sensor, &cameras, "<transform>1</transform>"),
            &["chunk", "without rotation"],
        ),
        (
            metashape(
                &sensor,
                &metashape_camera("000", "enabled=\"false\"", pose_matrix(0, 3)),
                "",
            ),
            &["no camera to use"],
        ),
        (singular, &["camera 000", "last row"]),
        (
            metashape(&sensor, &huge, far),
            &["camera 000", "beyond all measure"],
        ),
        (
            metashape(&sensor.repeat(2), &cameras, ""),
            &["two sensors 0"],
        ),
        (
            whole.replace("<chunk ", "<chunk xmlns:a=\"b\" "),
            &["does not write"],
        ),
        (
            whole.replace("<chunk ", &format!("<chunk{attributes} ")),
            &["does not write"],
        ),
        (
            metashape(&metashape_sensor("frame", "<fx>45</fx>"), &cameras, ""),
            &["focal length f"],
        ),
        (whole[..whole.len() / 2].to_owned(), &["damaged XML"]),
        (whole.replace("<chunk ", "<chunk/><chunk "), &["2 chunks"]),
        (
            metashape("", &cameras, ""),
            &["9 photos", "is not in the file"],
        ),
        (
            metashape(&sensor, "<camera id=\"0\" label=\"a\"/>", ""),
            &["aligned no photo"],
        ),
        (
            metashape(&metashape_sensor("spherical", PLAIN), &cameras, ""),
            &["spherical", "frame, fisheye"],
        ),
        (
            metashape(&metashape_sensor("frame", "<f>-4</f>"), &cameras, ""),
            &["focal lengths -4"],
        ),
        (
            metashape(&metashape_sensor("frame", "<f>much</f>"), &cameras, ""),
            &["f that is no finite number"],
        ),
        (
            whole.replace("<transform>", "<transform>1 "),
            &["camera 000", "16 numbers"],
        ),
        (
            metashape(
                &sensor,
                &metashape_camera("else", "", pose_matrix(0, 3)),
                "",
            ),
            &["images", "else"],
        ),
    ];
    for (text, parts) in xmls {
        let file = written(folder.path(), "cameras.xml", &text);
        assert_says(open(&file), &file, parts);
    }
    let row = reality_capture_row("000.png", DMat4::IDENTITY, PLAIN_ROW);
    let csvs: [(String, &[&str]); 5] = [
        (REALITY_CAPTURE_COLUMNS.to_owned(), &["no camera"]),
        (
            format!("{REALITY_CAPTURE_COLUMNS}{row}000.png,1\n"),
            &["000.png", "2 fields instead of 16"],
        ),
        (
            format!("{REALITY_CAPTURE_COLUMNS}{}", row.replace("40.5", "wide")),
            &["000.png", "\"wide\""],
        ),
        (
            format!("{REALITY_CAPTURE_COLUMNS}{}", row.replace("40.5", "-1")),
            &["000.png", "focal lengths -1"],
        ),
        (
            format!("{REALITY_CAPTURE_COLUMNS}{}", row.replace("000", "else")),
            &["images", "else.png"],
        ),
    ];
    for (text, parts) in csvs {
        let file = written(folder.path(), "cameras.csv", &text);
        assert_says(open(&file), &file, parts);
    }
}

/// nerfstudio reads what its own tool makes of these files.
#[test]
fn no_run_of_nerfstudio_had_these_cameras() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("images"));
    let text = metashape(
        &metashape_sensor("frame", PLAIN),
        &metashape_cameras("", DMat4::IDENTITY),
        "",
    );
    let file = written(folder.path(), "cameras.xml", &text);
    let options = LoadOptions {
        frame: Some(WorldFromFile::IDENTITY),
        ..Default::default()
    };
    assert_says(open_with(&file, &options), &file, &["ns-process-data"]);
}

/// Against what nerfstudio 1.1.5 makes of the same files (`metashape_to_json`, `realitycapture_to_json`). Of Metashape's it
/// turns the axes (z, x, y), divides lengths by the component's scale, and takes P1 and P2 for OpenCV's, which they are not.
#[test]
fn nerfstudio_reads_the_same_cameras() {
    let fixture = fixtures().join("photogrammetry");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("images")).unwrap();
    for i in 1..4 {
        let photo = folder.path().join(format!("images/IMG_000{i}.png"));
        write_png(&photo, &ramp(48, 36)).unwrap();
    }
    let turned = DMat4::from_cols(DVec4::Y, DVec4::Z, DVec4::X, DVec4::W);
    for (name, scale, from_nerfstudio) in [
        ("cameras.xml", 1.6, turned.transpose()),
        ("cameras.csv", 1.0, DMat4::IDENTITY),
    ] {
        let is_metashape = name == "cameras.xml";
        let file = folder.path().join(name);
        std::fs::copy(fixture.join(name), &file).unwrap();
        let json = if is_metashape {
            "metashape.json"
        } else {
            "reality_capture.json"
        };
        let expected = folder.path().join("transforms.json");
        let mut text = std::fs::read_to_string(fixture.join(json)).unwrap();
        if is_metashape {
            text = text
                .replace("p1", "p")
                .replace("p2", "p1")
                .replace("\"p\"", "\"p2\"");
        }
        std::fs::write(&expected, text).unwrap();
        let (ours, theirs) = (
            read_capture(&file, None).unwrap(),
            read_capture(&expected, None).unwrap(),
        );
        assert_eq!((ours.frames.len(), theirs.frames.len()), (3, 3));
        assert_eq!(ours.normalize, theirs.normalize);
        assert_eq!(ours.up, (!is_metashape).then_some(DVec3::Z));
        for (ours, theirs) in ours.frames.iter().zip(&theirs.frames) {
            let (have, want) = (
                ours.world_to_camera.inverse(),
                theirs.world_to_camera.inverse(),
            );
            let want = from_nerfstudio * want;
            let rotation = DMat3::from_mat4(have);
            assert!(
                rotation.abs_diff_eq(DMat3::from_mat4(want), 1e-12),
                "{}",
                ours.name
            );
            let centre = want.w_axis.truncate() * scale;
            assert!(
                have.w_axis.truncate().abs_diff_eq(centre, 1e-12),
                "{}",
                ours.name
            );
            assert_eq!(ours.lens, theirs.lens, "{}", ours.name);
        }
    }
}
