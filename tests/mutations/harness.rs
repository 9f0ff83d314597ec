//! What damages files, and what notices a broken promise.

use luxedit::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::ErrorKind;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting what the current thread holds.
pub struct Counting;

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
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get().wrapping_sub(before))
}

/// Of every beginning.
pub fn mutants() -> usize {
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

/// Where half of the damage is done, unless an [`Attack`] says otherwise: headers matter most.
pub const HEADER: Range<usize> = 0..96;

/// Damage `bytes` in one to four places, every other in `focus`.
pub fn mutate(bytes: &mut Vec<u8>, focus: &Range<usize>, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..=4) {
        if bytes.is_empty() {
            return;
        }
        let focus = focus.start.min(bytes.len())..focus.end.min(bytes.len());
        let reach = if rng.random_bool(0.5) && !focus.is_empty() {
            focus
        } else {
            0..bytes.len()
        };
        let at = rng.random_range(reach);
        match rng.random_range(0..9) {
            0 | 1 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes[at] = rng.random(),
            3 | 4 => {
                let mut extreme = EXTREMES[rng.random_range(0..EXTREMES.len())].to_le_bytes();
                // Some formats count from the other end.
                if rng.random() {
                    extreme.reverse();
                }
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

/// Damage to one kind of file. The name is the seed of its mutants, and says what broke.
pub struct Attack<'a> {
    pub name: &'a str,
    /// An undamaged file.
    pub bytes: &'a [u8],
    /// Half of the damage is done there.
    pub focus: Range<usize>,
    /// Most memory that reading may take: so many bytes, and so many for each byte of the file.
    pub memory: (usize, usize),
}

impl Attack<'_> {
    /// Read [`mutants`] of the file. `read` ends well or with an error; where it panics, it broke the promise.
    pub fn run(&self, read: impl FnMut(&[u8]) -> Result<()>) {
        self.run_with(|bytes, rng| mutate(bytes, &self.focus, rng), read);
    }

    /// [`Attack::run`] with other damage.
    pub fn run_with(
        &self,
        damage: impl Fn(&mut Vec<u8>, &mut ChaCha8Rng),
        mut read: impl FnMut(&[u8]) -> Result<()>,
    ) {
        let name = self.name;
        read(self.bytes).unwrap_or_else(|e| panic!("{name} is no good beginning: {e}"));
        let mut rng = ChaCha8Rng::seed_from_u64(seed_of(name));
        let (mut opened, mut slowest, mut largest) = (0, Duration::ZERO, 0);
        let began = Instant::now();
        let count = mutants();
        for _ in 0..count {
            let mut mutant = self.bytes.to_vec();
            damage(&mut mutant, &mut rng);
            let seen = survive(name, &mutant, self.memory, &mut read);
            opened += usize::from(seen.opened);
            slowest = slowest.max(seen.time);
            largest = largest.max(seen.peak);
        }
        println!(
            "{name}: {count} mutants of {} bytes in {:.1?}, {opened} of them still open; at most {slowest:.1?} and \
             {largest} bytes of memory for one",
            self.bytes.len(),
            began.elapsed(),
        );
    }
}

/// What a reader did with a damaged file.
pub struct Seen {
    pub opened: bool,
    pub time: Duration,
    /// Bytes of memory.
    pub peak: usize,
}

/// Read one damaged file, and keep it where it breaks the promise. `memory` as in [`Attack::memory`].
pub fn survive(
    name: &str,
    bytes: &[u8],
    memory: (usize, usize),
    mut read: impl FnMut(&[u8]) -> Result<()>,
) -> Seen {
    let began = Instant::now();
    let (result, peak) = peak_of(|| catch_unwind(AssertUnwindSafe(|| read(bytes))));
    let time = began.elapsed();
    let problem = if result.is_err() {
        "it panicked".to_owned()
    } else if time > Duration::from_secs(5) {
        format!("it took {time:?}")
    } else if peak > memory.0 + bytes.len() * memory.1 {
        format!("it held {peak} bytes for a file of {}", bytes.len())
    } else {
        return Seen {
            opened: matches!(result, Ok(Ok(_))),
            time,
            peak,
        };
    };
    let kept =
        std::env::temp_dir().join(format!("luxedit-mutant-{}", name.replace([' ', '.'], "-")));
    std::fs::write(&kept, bytes).unwrap();
    panic!("{name}: {problem}; the file is kept as {}", kept.display());
}

/// Put a damaged file where the last one was. A file that is cut short and filled again is flushed to the disk by some file
/// systems, which takes longer than anything here: it is removed first.
pub fn put(path: &Path, bytes: &[u8]) {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => panic!("{}: {e}", path.display()),
        _ => std::fs::write(path, bytes).unwrap(),
    }
}

fn seed_of(name: &str) -> u64 {
    name.bytes()
        .fold(7, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)))
}
