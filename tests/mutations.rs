//! Files of strangers: thousands of damaged variants of every format end in splats or in a sentence, never in a panic, a
//! hang, or memory beyond a small multiple of the file. `LUXEDIT_MUTANTS` sets how many a format (default 2000).

#[path = "splat_files/made.rs"]
mod made;

use luxedit::formats::splats::{SplatFormat, decode, recognize, write_splats};
use luxedit::formats::torch::Checkpoint;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting what the current thread holds.
struct Counting;

// SAFETY: every call is passed on unchanged; the counters are plain thread-local numbers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(more: usize, less: usize) {
    // The thread may be ending; then nobody asks.
    LIVE.try_with(|live| {
        live.set(live.get().wrapping_add(more).wrapping_sub(less));
        PEAK.try_with(|peak| {
            if live.get() as isize > peak.get() as isize {
                peak.set(live.get());
            }
        })
    })
    .and_then(|counted| counted)
    .unwrap_or_default();
}

/// Most bytes that `work` held at a time beyond what was held before.
fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get().wrapping_sub(before))
}

fn mutants() -> usize {
    std::env::var("LUXEDIT_MUTANTS")
        .map_or(2000, |n| n.parse().expect("LUXEDIT_MUTANTS is a number"))
}

/// Numbers that break arithmetic.
const EXTREMES: [u32; 12] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7f80_0000,
    0x7fc0_0000,
    0x0001_0000,
];

fn mutate(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..=4) {
        if bytes.is_empty() {
            return;
        }
        // Headers matter most.
        let reach = if rng.random_bool(0.5) {
            bytes.len().min(96)
        } else {
            bytes.len()
        };
        let at = rng.random_range(0..reach);
        match rng.random_range(0..9) {
            0 | 1 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes[at] = rng.random(),
            3 | 4 => {
                let extreme = EXTREMES[rng.random_range(0..EXTREMES.len())].to_le_bytes();
                let len = rng.random_range(1..=4).min(bytes.len() - at);
                bytes[at..at + len].copy_from_slice(&extreme[..len]);
            }
            5 => bytes.truncate(at),
            6 => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = rng.random_range(0..=bytes.len());
                bytes.splice(to..to, copy);
            }
            7 => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                bytes.drain(at..end);
            }
            // Text formats: a digit of a number, or a sign.
            _ => bytes[at] = b"0123456789-.e[]{},\" \n"[rng.random_range(0..21)],
        }
    }
}

/// Decode one damaged file, and keep it where it breaks the promise.
fn survive(name: &str, path: &Path, bytes: &[u8], size: usize, format: SplatFormat) -> bool {
    let began = Instant::now();
    let (result, peak) = peak_of(|| std::panic::catch_unwind(|| decode(path, bytes, format)));
    let allowed = (8 << 20) + size * 1000;
    let problem = match &result {
        Err(_) => Some("it panicked".to_owned()),
        _ if began.elapsed() > Duration::from_secs(5) => {
            Some(format!("it took {:?}", began.elapsed()))
        }
        _ if peak > allowed => Some(format!("it held {peak} bytes for a file of {size}")),
        Ok(Ok(splats)) if !splats.is_consistent() || splats.is_empty() => {
            Some("its splats are no scene".to_owned())
        }
        Ok(_) => None,
    };
    let Some(problem) = problem else {
        return matches!(result, Ok(Ok(_)));
    };
    let kept =
        std::env::temp_dir().join(format!("luxedit-mutant-{}", name.replace([' ', '.'], "-")));
    std::fs::write(&kept, bytes).unwrap();
    panic!("{name}: {problem}; the file is kept as {}", kept.display());
}

fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(7, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)))
}

fn attack(name: &str, bytes: &[u8], format: SplatFormat) {
    let path = PathBuf::from(name);
    decode(&path, bytes, format).unwrap_or_else(|e| panic!("{name} is no good beginning: {e}"));
    let mut rng = ChaCha8Rng::seed_from_u64(seed_of(name));
    let mut opened = 0;
    let count = mutants();
    for _ in 0..count {
        let mut mutant = bytes.to_vec();
        mutate(&mut mutant, &mut rng);
        opened += usize::from(survive(name, &path, &mutant, mutant.len(), format));
    }
    println!(
        "{name}: {count} mutants of {} bytes, {opened} of them still open",
        bytes.len()
    );
}

fn written(format: SplatFormat, degree: u32) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    write_splats(&path, &made::scene(30, degree, 3), format).unwrap();
    std::fs::read(&path).unwrap()
}

#[test]
fn ply() {
    attack("PLY", &written(SplatFormat::Ply, 1), SplatFormat::Ply);
    let text = "ply\nformat ascii 1.0\nelement vertex 2\nproperty list uchar int n\nproperty float x\nproperty float y\n\
                property float z\nproperty float opacity\nproperty float scale_0\nproperty float scale_1\nproperty float \
                scale_2\nproperty float rot_0\nproperty float rot_1\nproperty float rot_2\nproperty float rot_3\nproperty \
                uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n\
                2 1 1 1 2 3 0 -1 -1 -1 1 0 0 0 9 9 9\n0 1 2 3 0 -1 -1 -1 1 0 0 0 9 9 9\n";
    attack("text PLY", text.as_bytes(), SplatFormat::Ply);
}

#[test]
fn compressed_ply() {
    attack(
        "compressed PLY",
        &written(SplatFormat::CompressedPly, 1),
        SplatFormat::CompressedPly,
    );
}

#[test]
fn splat() {
    attack(
        ".splat",
        &written(SplatFormat::Splat, 0),
        SplatFormat::Splat,
    );
}

#[test]
fn ksplat() {
    for level in 0..3 {
        let (mut bytes, _) = made::ksplat(level);
        attack(
            &format!(".ksplat level {level}"),
            &bytes,
            SplatFormat::Ksplat,
        );
        // The header is mostly empty: damage the section's too.
        let name = format!(".ksplat section of level {level}");
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(level));
        for _ in 0..mutants() {
            let old = bytes.clone();
            let mut section = bytes[4096..4096 + 48].to_vec();
            mutate(&mut section, &mut rng);
            section.resize(48, 0);
            bytes[4096..4096 + 48].copy_from_slice(&section);
            survive(
                &name,
                Path::new(&name),
                &bytes,
                bytes.len(),
                SplatFormat::Ksplat,
            );
            bytes = old;
        }
    }
}

#[test]
fn spz() {
    for version in 1..=4 {
        attack(
            &format!("SPZ version {version}"),
            &made::spz(version, 30, true),
            SplatFormat::Spz,
        );
        attack(
            &format!("unpacked SPZ version {version}"),
            &made::spz(version, 30, false),
            SplatFormat::Spz,
        );
    }
    attack(
        "written SPZ",
        &written(SplatFormat::Spz, 3),
        SplatFormat::Spz,
    );
}

#[test]
fn sog() {
    attack("SOG", &written(SplatFormat::Sog, 1), SplatFormat::Sog);
    // A ZIP's checksums stop most damage: the pictures and the description need their own.
    let folder = tempfile::tempdir().unwrap();
    made::sog_v1(folder.path(), 60);
    let meta = folder.path().join("meta.json");
    let names: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let size: u64 = names
        .iter()
        .map(|p| std::fs::metadata(p).unwrap().len())
        .sum();
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let mut opened = 0;
    for i in 0..mutants() {
        let path = &names[i % names.len()];
        let whole = std::fs::read(path).unwrap();
        let mut mutant = whole.clone();
        mutate(&mut mutant, &mut rng);
        std::fs::write(path, &mutant).unwrap();
        let description = std::fs::read(&meta).unwrap();
        opened += usize::from(survive(
            "SOG folder",
            &meta,
            &description,
            size as usize,
            SplatFormat::Sog,
        ));
        std::fs::write(path, whole).unwrap();
    }
    println!(
        "SOG folder: {} mutants, {opened} of them still open",
        mutants()
    );
}

#[test]
fn gltf() {
    let glb = written(SplatFormat::Gltf, 1);
    attack("GLB", &glb, SplatFormat::Gltf);
    // The JSON alone, with a buffer inside.
    let len = u32::from_le_bytes([glb[12], glb[13], glb[14], glb[15]]) as usize;
    let text = String::from_utf8(glb[20..20 + len].to_vec()).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["buffers"][0]["uri"] =
        format!("data:;base64,{}", "AAAA".repeat(glb.len() / 3 + 1)).into();
    document["nodes"] =
        serde_json::json!([{ "children": [1], "rotation": [0.0, 0.6, 0.0, 0.8] }, { "mesh": 0 }]);
    attack("glTF", document.to_string().as_bytes(), SplatFormat::Gltf);
}

/// Recognizing must survive too: it runs on whatever is dropped on the window.
#[test]
fn recognition() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dropped");
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    let beginnings: Vec<Vec<u8>> = [
        SplatFormat::CompressedPly,
        SplatFormat::Spz,
        SplatFormat::Sog,
        SplatFormat::Gltf,
    ]
    .map(|format| written(format, 1))
    .into_iter()
    .chain([made::ksplat(1).0, written(SplatFormat::Splat, 0)])
    .collect();
    for i in 0..mutants() {
        let mut mutant = beginnings[i % beginnings.len()].clone();
        mutate(&mut mutant, &mut rng);
        std::fs::write(&path, &mutant).unwrap();
        // Either something is recognized, or nothing, or a sentence names the file.
        if let Err(error) = recognize(&path) {
            assert!(error.to_string().contains("dropped"), "{error}");
        }
    }
}

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
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints");
    for name in ["nested.ckpt", "nested_row.ckpt"] {
        let path = fixtures.join(name);
        let whole = std::fs::read(&path).unwrap();
        assert!(read_checkpoint(&path, &whole).unwrap() > 10, "{name}");
        // The structure: the archive's first entry, or the row's beginning.
        let at = |text: &[u8]| whole.windows(text.len()).position(|w| w == text);
        let from = at(b"data.pkl").unwrap_or(0);
        let to = at(b"param_groups").expect("its last key");
        let mut rng = ChaCha8Rng::seed_from_u64(seed_of(name));
        let mut opened = 0;
        for i in 0..mutants() {
            let mut mutant = whole.clone();
            if i % 2 == 0 {
                mutate(&mut mutant, &mut rng);
            } else {
                for _ in 0..rng.random_range(1..=4) {
                    mutant[rng.random_range(from..to)] = rng.random();
                }
            }
            let began = Instant::now();
            let (result, peak) =
                peak_of(|| std::panic::catch_unwind(|| read_checkpoint(&path, &mutant)));
            assert!(result.is_ok(), "{name}: it panicked");
            assert!(began.elapsed() < Duration::from_secs(5), "{name}");
            assert!(
                peak < (1 << 20) + whole.len() * 100,
                "{name}: it held {peak} bytes"
            );
            opened += usize::from(matches!(result, Ok(Ok(_))));
        }
        println!("{name}: {} mutants, {opened} of them still open", mutants());
    }
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
    let entry = archive_of(&pickle);
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
    let file = archive_of(&pickle);
    let (result, peak) = peak_of(|| read_checkpoint(Path::new("copies.ckpt"), &file));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("values, which no checkpoint has"), "{error}");
    assert!(peak < 64 << 20, "it held {peak} bytes");
}

/// A stored ZIP archive with `a/data.pkl`.
fn archive_of(pickle: &[u8]) -> Vec<u8> {
    let name = b"a/data.pkl";
    let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut crc = flate2::Crc::new();
    crc.update(pickle);
    common.extend(crc.sum().to_le_bytes());
    for _ in 0..2 {
        common.extend((pickle.len() as u32).to_le_bytes());
    }
    common.extend([name.len() as u8, 0, 0, 0]);
    let mut out = b"PK\x03\x04".to_vec();
    out.extend(&common);
    out.extend(name);
    out.extend(pickle);
    let start = out.len() as u32;
    out.extend(b"PK\x01\x02\x14\x00");
    out.extend(&common);
    out.extend([0; 14]);
    out.extend(name);
    let len = out.len() as u32 - start;
    out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    out.extend(len.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}
