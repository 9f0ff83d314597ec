//! Splat files of all tools: what peers wrote agrees with its source, what is written is read back, by us and by others.

#[path = "splat_files/compare.rs"]
mod compare;
#[path = "splat_files/damaged.rs"]
mod damaged;
#[path = "splat_files/frames.rs"]
mod frames;
#[path = "splat_files/made.rs"]
mod made;
#[path = "splat_files/peers.rs"]
mod peers;
#[path = "splat_files/transformed.rs"]
mod transformed;
#[path = "splat_files/written.rs"]
mod written;
