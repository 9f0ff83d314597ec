//! Which photos and which points belong to the cameras that Metashape and RealityCapture export.

use super::cameras_of_programs::{
    REALITY_CAPTURE_COLUMNS, metashape, metashape_camera, metashape_sensor, pose_matrix,
    reality_capture_row,
};
use super::photogrammetry::{PHOTOS, PLAIN, PLAIN_ROW, metashape_cameras, photos, written};
use super::scenes::{assert_says, open, ramp};
use super::zips;
use glam::{DMat4, DVec3};
use luxedit::formats::{picture::write_png, read_capture};
use luxedit::scene::DatasetKind;

/// In other folders, with another ending, in groups, and in an archive; what was not aligned or is not there is said.
#[test]
fn photos_are_found_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    photos(&capture.join("Flight 1"));
    photos(&capture.join("masks"));
    let cameras = format!(
        "<group id=\"0\" label=\"Group 1\" type=\"folder\">{}</group><camera id=\"1\" sensor_id=\"0\" label=\"lost\"/>\
         <camera id=\"2\" master_id=\"0\" sensor_id=\"0\" label=\"second\"/>{}{}{}",
        metashape_camera("000.JPG", "", pose_matrix(0, PHOTOS)),
        metashape_camera("/home/me/Flight 1/001.png", "", pose_matrix(1, PHOTOS)),
        metashape_camera("002.dng", "", pose_matrix(2, PHOTOS)),
        metashape_camera(&"a/".repeat(5000), "", pose_matrix(3, PHOTOS)),
    );
    let sensor = metashape_sensor("frame", PLAIN);
    written(&capture, "cameras.xml", &metashape(&sensor, &cameras, ""));
    written(&capture, "points.ply", &cloud([10.0, 20.0, 30.0], 0));
    let mut files = Vec::new();
    zips::pack(&capture, "flight/", &mut files);
    let archive = folder.path().join("flight.zip");
    std::fs::write(&archive, zips::archive(&files)).unwrap();
    let mut files = Vec::new();
    zips::pack(&capture, "", &mut files);
    let bare = folder.path().join("bare.zip");
    std::fs::write(&bare, zips::archive(&files)).unwrap();
    for path in [&capture, &archive, &bare] {
        let read = read_capture(path, None).unwrap();
        let names: Vec<&str> = read
            .frames
            .iter()
            .map(|frame| frame.name.as_str())
            .collect();
        let expected = ["001", "000", "002"].map(|name| format!("Flight 1/{name}.png"));
        assert_eq!(names, expected);
        assert!(read.frames[0].image_path.ends_with(&expected[0]));
        assert_eq!((read.listed, read.missing.len()), (4, 1));
        assert_eq!(read.points.unwrap().positions.len(), 1);
        assert!(
            read.warnings[0].contains("1 photos are left out"),
            "{:?}",
            read.warnings
        );
        assert!(
            read.warnings[1].contains("several cameras"),
            "{:?}",
            read.warnings
        );
    }
}

/// Beside the cameras, in an archive too, and in spite of other pictures and folders of other pictures.
#[test]
fn photos_are_found_wherever_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    let sensor = metashape_sensor("frame", PLAIN);
    let xml = metashape(&sensor, &metashape_cameras("", DMat4::IDENTITY), "");
    let flat = folder.path().join("flat");
    photos(&flat);
    written(&flat, "cameras.xml", &xml);
    let mut files = Vec::new();
    zips::pack(&flat, "", &mut files);
    let archive = folder.path().join("flat.zip");
    std::fs::write(&archive, zips::archive(&files)).unwrap();
    for path in [&flat, &archive] {
        let read = read_capture(path, None).unwrap();
        assert_eq!(
            (read.frames.len(), read.frames[0].name.as_str()),
            (PHOTOS, "000.png")
        );
    }
    let deep = folder.path().join("deep");
    photos(&deep.join("photos/left"));
    photos(&deep.join("photos/left/masks"));
    photos(&deep.join("photos_2/left"));
    write_png(&deep.join("texture.png"), &ramp(4, 4)).unwrap();
    std::fs::create_dir(deep.join("images")).unwrap();
    write_png(&deep.join("images/cover.png"), &ramp(4, 4)).unwrap();
    let file = written(&deep, "cameras.xml", &xml);
    let read = read_capture(&file, None).unwrap();
    assert_eq!(
        (read.frames.len(), read.frames[0].name.as_str()),
        (PHOTOS, "photos/left/000.png")
    );
}

#[test]
fn photos_of_one_name_are_not_taken_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("Flight 1"));
    photos(&folder.path().join("Flight 2"));
    let sensor = metashape_sensor("frame", PLAIN);
    let write = |labels: &[&str]| {
        let cameras: String = labels
            .iter()
            .map(|label| metashape_camera(label, "", pose_matrix(0, PHOTOS)))
            .collect();
        written(
            folder.path(),
            "cameras.xml",
            &metashape(&sensor, &cameras, ""),
        )
    };
    let both = ["camera 000", "Flight 1/000.png", "Flight 2/000.png"];
    let file = write(&["000"]);
    assert_says(open(&file), &file, &both);
    for label in [
        "Flight 2/000",
        "C:\\job\\Flight 2\\000.JPG",
        "/home/me/Flight 2/000.png",
    ] {
        let capture = read_capture(&write(&[label]), None).unwrap();
        assert_eq!(capture.frames[0].name, "Flight 2/000.png", "{label}");
    }
    assert_says(
        open(&write(&["000", "000"])),
        &file,
        &["several cameras called 000"],
    );
    // One photo would have two cameras.
    let twice = ["Flight 2/000.JPG", "Flight 2/000.png"];
    assert_says(
        open(&write(&twice)),
        &file,
        &["Flight 2/000.png", "would both"],
    );
    // Another flight's photo is none, and neither is that of another number.
    let capture = read_capture(&write(&["Flight 2/001", "Flight 3/001", "001.002"]), None).unwrap();
    assert_eq!((capture.frames.len(), capture.missing.len()), (1, 2));
    // A folder of that name goes before all others.
    photos(&folder.path().join("images/left"));
    let capture = read_capture(&write(&["000"]), None).unwrap();
    assert_eq!(capture.frames[0].name, "images/left/000.png");
}

/// Tables and XML of other kinds lie beside photos too.
#[test]
fn other_tables_are_no_cameras() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path());
    written(folder.path(), "weather.csv", "time,name,x,y\n1,2,3,4\n");
    written(folder.path(), "page.xml", "<document><page/></document>");
    // Marker files begin as files of cameras do.
    let listed = "<camera id=\"0\" label=\"000\"/>";
    let markers = "<markers><marker id=\"0\"><position x=\"1\"/></marker></markers><transform><scale>1</scale></transform>";
    let sensor = metashape_sensor("frame", PLAIN);
    written(
        folder.path(),
        "markers.xml",
        &metashape(&sensor, listed, markers),
    );
    assert!(!luxedit::formats::is_capture(folder.path()));
    written(
        folder.path(),
        "cameras.csv",
        &format!(
            "#cameras 1\n{REALITY_CAPTURE_COLUMNS}{}",
            reality_capture_row("\"000.png\"", DMat4::IDENTITY, PLAIN_ROW)
        ),
    );
    assert_eq!(
        open(folder.path()).unwrap().kind,
        DatasetKind::RealityCapture
    );
}

/// A point that is told from others by where it is, and a mesh's if there are faces.
fn cloud([x, y, z]: [f64; 3], faces: usize) -> String {
    let coordinates = "property float x\nproperty float y\nproperty float z\n";
    let face = "3 0 0 0\n".repeat(faces);
    format!(
        "ply\nformat ascii 1.0\nelement vertex 1\n{coordinates}element face {faces}\n\
         property list uchar int vertex_indices\nend_header\n{x} {y} {z}\n{face}"
    )
}

#[test]
fn points_are_used_where_cameras_see_them() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("images"));
    let text = metashape(
        &metashape_sensor("frame", PLAIN),
        &metashape_cameras("", DMat4::IDENTITY),
        "",
    );
    let file = written(folder.path(), "cameras.xml", &text);
    let put =
        |name: &str, at: [f64; 3], faces: usize| written(folder.path(), name, &cloud(at, faces));
    assert!(read_capture(&file, None).unwrap().points.is_none());
    let middle = [10.0, 20.0, 30.0];
    put("points.ply", middle, 0);
    // A mesh only where there are no points.
    put("mesh.ply", [0.0; 3], 1);
    let points = read_capture(&file, None).unwrap().points.unwrap();
    assert_eq!(points.positions, [DVec3::from_array(middle)]);
    let elsewhere = put("points.ply", [4_000_000.0, 500_000.0, 9.0], 0);
    let read = read_capture(&file, None).unwrap();
    assert!(read.points.is_none());
    assert!(
        read.warnings[0].contains("another frame"),
        "{:?}",
        read.warnings
    );
    assert!(read.warnings[0].contains(&*elsewhere.to_string_lossy()));
    put("other.ply", middle, 0);
    let read = read_capture(&file, None).unwrap();
    assert!(
        read.points.is_none() && read.warnings[0].contains("2 point clouds"),
        "{:?}",
        read.warnings
    );
    // What is damaged is said.
    let whole = cloud(middle, 0);
    std::fs::remove_file(folder.path().join("other.ply")).unwrap();
    let cut = written(folder.path(), "points.ply", &whole[..whole.len() - 9]);
    let read = read_capture(&file, None).unwrap();
    assert!(read.points.is_none());
    assert!(
        read.warnings[0].contains(&*cut.to_string_lossy()),
        "{:?}",
        read.warnings
    );
    for name in ["other.ply", "points.ply"] {
        written(folder.path(), name, "ply\nformat ascii 1.0\n");
    }
    put("mesh.ply", middle, 1);
    let read = read_capture(&file, None).unwrap();
    assert_eq!(read.points.unwrap().positions, [DVec3::from_array(middle)]);
    assert!(
        read.warnings[0].contains("2 damaged files"),
        "{:?}",
        read.warnings
    );
}
