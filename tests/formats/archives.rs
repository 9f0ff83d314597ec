//! Captures in ZIP archives: the same as their folders, and nothing more than that for archives made to do harm.

use super::scenes::{assert_says, copy_folder, fixtures, open, ramp, transforms_capture};
use super::zips::{Packed, archive, pack};
use luxedit::formats::{Info, inspect, is_splat_scene, picture::write_png};
use luxedit::scene::{Dataset, DatasetKind};

fn assert_same(a: &Dataset, b: &Dataset) {
    assert_eq!((a.kind, a.views.len()), (b.kind, b.views.len()));
    for (a, b) in a.views.iter().zip(&b.views) {
        assert_eq!((&a.name, &a.photo), (&b.name, &b.photo));
        assert_eq!((a.camera, &a.mask), (b.camera, &b.mask));
    }
    let points = |d: &Dataset| d.points.as_ref().map(|p| p.positions.clone());
    assert_eq!(points(a), points(b));
    assert_eq!((&a.missing, &a.warnings), (&b.missing, &b.warnings));
}

#[test]
fn an_archive_is_what_its_folder_is() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    transforms_capture(&capture, 5, |value| {
        value["frames"][1]["mask_path"] = "masks/001.png".into();
        value["ply_file_path"] = "points.ply".into();
    });
    std::fs::create_dir(capture.join("masks")).unwrap();
    write_png(&capture.join("masks/001.png"), &ramp(40, 30)).unwrap();
    std::fs::write(
        capture.join("points.ply"),
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 3\n",
    )
    .unwrap();
    std::fs::remove_file(capture.join("images/003.png")).unwrap();
    let expected = open(&capture).unwrap();
    assert!(expected.points.is_some() && expected.views[1].mask.is_some());
    let zip = folder.path().join("capture.zip");
    for prefix in ["", "capture/", "a/b/"] {
        let mut files = Vec::new();
        pack(&capture, prefix, &mut files);
        // What macOS packs beside every file.
        files.push(Packed::new(
            "__MACOSX/transforms.json",
            b"\0\x05\x16\x07",
            false,
        ));
        std::fs::write(&zip, archive(&files)).unwrap();
        assert!(!is_splat_scene(&zip).unwrap());
        assert_same(&open(&zip).unwrap(), &expected);
    }
    // A file that is replaced is read anew.
    let mut files = Vec::new();
    pack(&capture, "", &mut files);
    files.retain(|file| !file.name.ends_with("000.png"));
    std::fs::write(&zip, archive(&files)).unwrap();
    assert_eq!(open(&zip).unwrap().views.len(), 3);
    let written: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(written.len(), 2, "nothing was unpacked: {written:?}");
}

#[test]
fn colmap_and_blender_come_in_archives_too() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixtures().join("colmap");
    for model in ["sparse/0", "sparse_txt/0"] {
        let capture = folder.path().join(model.replace('/', "_"));
        copy_folder(&source.join("images"), &capture.join("images"));
        copy_folder(&source.join(model), &capture.join("sparse/0"));
        let mut files = Vec::new();
        pack(&capture, "shoot/", &mut files);
        let zip = capture.with_extension("zip");
        std::fs::write(&zip, archive(&files)).unwrap();
        let opened = open(&zip).unwrap();
        assert_eq!(opened.kind, DatasetKind::Colmap);
        assert_same(&opened, &open(&capture).unwrap());
    }
}

#[test]
fn hostile_archives_reach_nothing_and_end_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture");
    transforms_capture(&capture, 2, |value| {
        value["frames"][1]["file_path"] = "../secret.png".into();
    });
    write_png(&folder.path().join("secret.png"), &ramp(40, 30)).unwrap();
    let zip = folder.path().join("sub").join("capture.zip");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let mut files = Vec::new();
    pack(&capture, "", &mut files);
    files.push(Packed::new("../secret.png", b"x", false));
    files.push(Packed::new("/etc/passwd", b"x", false));
    std::fs::write(&zip, archive(&files)).unwrap();
    let Info::Capture(info) = inspect(&zip).unwrap() else {
        panic!("a capture")
    };
    assert_eq!(info.usable_frames, 1, "the other climbs out");
    assert_eq!(info.missing, ["../secret.png"]);
    // One that unpacks to more than a hundred times the archive.
    let mut bomb = Packed::new("transforms.json", &vec![b' '; 1 << 28], true);
    std::fs::write(&zip, archive(&[bomb])).unwrap();
    assert_says(open(&zip), &zip, &["claims to unpack"]);
    // One whose directory lies about the size.
    bomb = Packed::new("transforms.json", &vec![b' '; 1 << 24], true);
    bomb.len = 10;
    std::fs::write(&zip, archive(&[bomb])).unwrap();
    assert_says(open(&zip), &zip, &["checksum"]);
    let mut locked = Packed::new("transforms.json", b"{}", false);
    locked.flags = 1;
    std::fs::write(&zip, archive(&[locked])).unwrap();
    assert_says(open(&zip), &zip, &["encrypted"]);
    std::fs::write(&zip, archive(&[Packed::new("readme.txt", b"x", false)])).unwrap();
    assert_says(open(&zip), &zip, &["this archive", "transforms.json"]);
    // Folders without end: each would be a name of its own, and each would be looked into.
    let deep = "a/".repeat(30_000) + "transforms.json";
    std::fs::write(&zip, archive(&[Packed::new(&deep, b"{}", false)])).unwrap();
    assert_says(open(&zip), &zip, &["this archive"]);
    let wide: Vec<String> = (0..20_000).map(|i| format!("{i}/x/y.txt")).collect();
    let wide: Vec<Packed> = wide.iter().map(|n| Packed::new(n, b"", false)).collect();
    std::fs::write(&zip, archive(&wide)).unwrap();
    let began = std::time::Instant::now();
    assert_says(open(&zip), &zip, &["this archive"]);
    println!("{} folders in {:?}", wide.len(), began.elapsed());
    // Cut anywhere.
    let mut files = Vec::new();
    pack(&capture, "", &mut files);
    let whole = archive(&files);
    for cut in [4, 100, whole.len() / 2, whole.len() - 30, whole.len() - 1] {
        std::fs::write(&zip, &whole[..cut]).unwrap();
        assert_says(open(&zip), &zip, &["archive"]);
    }
}
