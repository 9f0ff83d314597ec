//! Files of strangers: thousands of damaged variants of every format end in a scene or in a sentence, never in a panic, a
//! hang, or memory beyond a small multiple of the file. What was found so stays as a test beside its format.
//! `LUXEDIT_MUTANTS` sets how many a format (default 2000; `./dev fuzz`: 100 000).

#[path = "support/photogrammetry.rs"]
mod cameras_of_programs;
#[path = "mutations/captures.rs"]
mod captures;
#[path = "mutations/checkpoints.rs"]
mod checkpoints;
#[path = "mutations/harness.rs"]
mod harness;
#[path = "splat_files/made.rs"]
mod made;
#[path = "mutations/pictures.rs"]
mod pictures;
#[path = "support/captures.rs"]
mod small_captures;
#[path = "mutations/splats.rs"]
mod splats;
#[path = "support/zips.rs"]
mod zips;

#[global_allocator]
static ALLOCATOR: harness::Counting = harness::Counting;
