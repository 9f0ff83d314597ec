//! The real binary, as a script would run it: on a small capture, and on everything that can be wrong.

#[path = "support/bundle.rs"]
mod bundle;
#[path = "cli/bundled.rs"]
mod bundled;
#[path = "cli/common.rs"]
mod common;
#[path = "cli/films.rs"]
mod films;
#[path = "cli/growing.rs"]
mod growing;
#[path = "cli/interruptions.rs"]
mod interruptions;
#[path = "cli/refusals.rs"]
mod refusals;
#[path = "cli/whole_path.rs"]
mod whole_path;
