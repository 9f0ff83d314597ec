//! Checkpoints: pickles that strangers made.

use crate::harness::{Attack, HEADER, mutate, peak_of, put};
use crate::small_captures::fixtures;
use crate::zips::{self, Packed};
use luxedit::edit::luxen_of;
use luxedit::formats::nerfstudio::{self, Model, ModelKind, Options};
use luxedit::formats::torch::Checkpoint;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::path::Path;

/// As [`Attack::memory`].
const MEMORY: (usize, usize) = (1 << 20, 100);

/// A checkpoint, and every tensor that it tells of.
fn read_checkpoint(path: &Path, bytes: &[u8]) -> luxedit::Result<usize> {
    let checkpoint = Checkpoint::read(path, bytes)?;
    let mut waiting = vec![(checkpoint.root(), 0)];
    let (mut tensors, mut steps) = (0, 0);
    while let Some((item, depth)) = waiting.pop() {
        steps += 1;
        if let Some(stored) = checkpoint.tensor("a tensor", item)? {
            assert!(stored.range.end <= bytes.len(), "{stored:?}");
            tensors += 1;
        }
        // A value may contain itself.
        if depth < 8 && steps < 10_000 {
            waiting.extend(item.entries().map(|(_, value)| (value, depth + 1)));
            waiting.extend(item.items().map(|value| (value, depth + 1)));
        }
    }
    Ok(tensors)
}

#[test]
fn checkpoints() {
    let fixtures = fixtures().join("checkpoints");
    for name in ["nested.ckpt", "nested_row.ckpt"] {
        let path = fixtures.join(name);
        let whole = std::fs::read(&path).unwrap();
        assert!(read_checkpoint(&path, &whole).unwrap() > 10, "{name}");
        // The structure: the archive's first entry, or the row's beginning.
        let at = |text: &[u8]| whole.windows(text.len()).position(|w| w == text);
        let from = at(b"data.pkl").unwrap_or(0);
        let to = at(b"param_groups").expect("its last key");
        let attack = Attack {
            name,
            bytes: &whole,
            focus: from..to,
            memory: MEMORY,
        };
        attack.run_with(
            |mutant, rng| damage_structure(mutant, from..to, rng),
            |bytes| read_checkpoint(&path, bytes).map(|_| ()),
        );
    }
}

/// Every other time anything anywhere, else bytes within the structure, whose length stays.
fn damage_structure(mutant: &mut Vec<u8>, structure: Range<usize>, rng: &mut ChaCha8Rng) {
    if rng.random() {
        mutate(mutant, &HEADER, rng);
    } else {
        for _ in 0..rng.random_range(1..=4) {
            mutant[rng.random_range(structure.clone())] = rng.random();
        }
    }
}

/// Splats and fields of nerfstudio's, down to the scene that is made of them.
#[test]
fn checkpoints_of_nerfstudio() {
    let fixtures = fixtures().join("nerfstudio");
    for name in [
        "splatfacto-0.ckpt",
        "splatfacto-3.ckpt",
        "nerfacto/nerfstudio_models/step-000029999.ckpt",
    ] {
        let path = fixtures.join(name);
        let whole = std::fs::read(&path).unwrap();
        let at = |text: &[u8]| whole.windows(text.len()).position(|w| w == text);
        let from = at(b"data.pkl").expect("an archive");
        let to = at(b"data/0").expect("its first tensor");
        let attack = Attack {
            name,
            bytes: &whole,
            focus: from..to,
            memory: MEMORY,
        };
        attack.run_with(
            |mutant, rng| damage_structure(mutant, from..to, rng),
            |bytes| match nerfstudio::decode(&path, bytes)? {
                model if model.kind == ModelKind::Nerfacto => luxen_of(&model).map(|_| ()),
                _ => {
                    let splats = nerfstudio::splats(&path, bytes)?;
                    assert!(splats.is_consistent());
                    Ok(())
                }
            },
        );
    }
}

/// The configuration that is looked for beside a checkpoint.
#[test]
fn configurations_of_nerfstudio() {
    let run = fixtures().join("nerfstudio/nerfacto");
    let whole = std::fs::read(run.join("config.yml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("step-000029999.ckpt");
    std::fs::copy(
        run.join("nerfstudio_models/step-000029999.ckpt"),
        &checkpoint,
    )
    .unwrap();
    let attack = Attack {
        name: "config.yml",
        bytes: &whole,
        focus: 0..whole.len(),
        memory: MEMORY,
    };
    let model = nerfstudio::read(&checkpoint).unwrap();
    attack.run(|bytes| {
        put(&folder.path().join("config.yml"), bytes);
        let options = Options::beside(&checkpoint)?;
        luxen_of(&Model {
            options,
            ..model.clone()
        })
        .map(|_| ())
    });
}

/// Ten thousand names of one large tensor.
#[test]
fn tensors_that_share_their_numbers_take_no_more_than_the_file() {
    let file = sharing(10_000);
    let (result, peak) = peak_of(|| nerfstudio::decode(Path::new("shared.ckpt"), &file));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("more than"), "{error}");
    assert!(peak < MEMORY.0 + file.len() * 20, "it held {peak} bytes");
}

/// Telling what a checkpoint is of takes what says so, not the numbers.
#[test]
fn a_checkpoint_is_told_without_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step-000000001.ckpt");
    let file = sharing(2);
    std::fs::write(&path, &file).unwrap();
    let (found, peak) = peak_of(|| nerfstudio::find(folder.path()));
    assert_eq!(found.unwrap(), Some((path, ModelKind::Splatfacto)));
    assert!(peak < file.len() / 20, "it held {peak} bytes");
}

/// A checkpoint of 250 000 floats, which so many tensors and `means` are.
fn sharing(tensors: usize) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(X\x08\0\0\0pipeline}(".to_vec();
    let mut named = |name: &str, value: &[u8]| {
        pickle.push(b'X');
        pickle.extend((name.len() as u32).to_le_bytes());
        pickle.extend(name.bytes());
        pickle.extend(value);
    };
    // torch._utils._rebuild_tensor_v2(storage 0 of 250 000 floats, 0, (250000,), (1,), False, {})
    let mut tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000\
                       X\x03\0\0\0cpuJ\x90\xd0\x03\0tQK\0J\x90\xd0\x03\0\x85K\x01\x85\x89}tRq\0"
        .to_vec();
    named("_model.means", &tensor);
    tensor = b"h\0".to_vec();
    for i in 0..tensors {
        named(&format!("_model.{i}"), &tensor);
    }
    pickle.extend(b"uu.");
    let data = vec![0; 1_000_000];
    zips::archive(&[
        Packed::new("a/data.pkl", &pickle, false),
        Packed::new("a/data/0", &data, false),
    ])
}

/// Lists of lists of lists, each twice in the next: a thousand million values if anyone unfolded them.
#[test]
fn a_pickle_that_would_unfold_without_end_is_small() {
    let mut pickle = b"\x80\x02]q\x00".to_vec();
    for i in 0..60u8 {
        pickle.extend([b']', b'q', i + 1, b'(', b'h', i, b'h', i, b'e']);
    }
    // The last contains itself.
    pickle.extend([b'h', 60, b'a', b'.']);
    let path = Path::new("bomb.ckpt");
    let entry = zips::archive(&[Packed::new("a/data.pkl", &pickle, false)]);
    let (result, peak) = peak_of(|| read_checkpoint(path, &entry).map_err(|e| e.to_string()));
    assert_eq!(result, Ok(0));
    assert!(peak < 1 << 20, "it held {peak} bytes");
}

/// One long tuple, made into a size again and again: each call would copy it.
#[test]
fn a_pickle_that_copies_without_end_is_refused() {
    let mut pickle = b"\x80\x02ctorch\nSize\nq\x00(".to_vec();
    pickle.extend([b'N'; 200_000]);
    pickle.extend(b"tq\x01\x85q\x02");
    for _ in 0..100_000 {
        pickle.extend(b"h\x00h\x02R");
    }
    pickle.push(b'.');
    let file = zips::archive(&[Packed::new("a/data.pkl", &pickle, false)]);
    let (result, peak) = peak_of(|| read_checkpoint(Path::new("copies.ckpt"), &file));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("values, which no checkpoint has"), "{error}");
    assert!(peak < 64 << 20, "it held {peak} bytes");
}
