//! Small captures and splats to test with, made on the spot.

use luxedit::error::Cancel;
use luxedit::formats::{LoadOptions, open_dataset};
use luxedit::scene::{Dataset, Splats};
use luxedit::{Error, Result};
use std::path::Path;

pub use super::small_captures::{fixtures, pose, ramp, transforms_capture};

pub fn open(path: &Path) -> Result<Dataset> {
    open_with(path, &LoadOptions::default())
}

pub fn open_with(path: &Path, options: &LoadOptions) -> Result<Dataset> {
    open_dataset(path, options, &|_, _| {}, &Cancel::default())
}

/// The error's sentence, which must name `path` and contain `parts`.
pub fn assert_says<T>(result: Result<T>, path: &Path, parts: &[&str]) -> String {
    let Err(error) = result else {
        panic!("no error, expected one with {parts:?}");
    };
    assert!(!matches!(error, Error::Cancelled));
    let sentence = error.to_string();
    for part in parts
        .iter()
        .copied()
        .chain([path.to_string_lossy().as_ref()])
    {
        assert!(
            sentence.contains(part),
            "\"{sentence}\" does not contain \"{part}\""
        );
    }
    sentence
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::write(&target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// `n` splats of awkward values.
pub fn splats(n: usize, sh_degree: u32) -> Splats {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut values = |count: usize| -> Vec<f32> {
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / 1e5 - 80.0
            })
            .collect()
    };
    let rest = Splats::rest_count_of(sh_degree);
    let mut splats = Splats {
        sh_degree,
        antialiased: false,
        means: values(n * 3),
        quats: values(n * 4),
        log_scales: values(n * 3),
        logit_opacities: values(n),
        sh_dc: values(n * 3),
        sh_rest: values(n * rest * 3),
    };
    splats.means[0] = -0.0;
    splats.means[1] = f32::MIN_POSITIVE / 4.0;
    splats.means[2] = f32::MAX;
    splats
}
