//! Damaged, incomplete and foreign model folders: each is refused with an error that names what is wrong, and sizes and
//! settings that an edit cannot honour are refused before anything runs. Folders are copies of the tiny reference
//! model, changed one thing at a time.

#[path = "support/adapter.rs"]
mod adapter;
#[path = "models/common.rs"]
mod common;
#[path = "models/damaged.rs"]
mod damaged;
#[path = "models/edits.rs"]
mod edits;
#[path = "models/kinds.rs"]
mod kinds;
#[path = "models/together.rs"]
mod together;
