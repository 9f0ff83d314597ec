//! The window, driven by accessible labels: the whole path on the real worker, the window's own promises against a
//! worker that plays a script, and the real program under a virtual display.

#[path = "support/bundle.rs"]
mod bundle;
#[path = "window/demo.rs"]
mod demo;
#[path = "window/fake.rs"]
mod fake;
#[path = "window/films_and_poses.rs"]
mod films_and_poses;
#[path = "window/frame_cost.rs"]
mod frame_cost;
#[path = "window/get_model.rs"]
mod get_model;
#[path = "window/harness.rs"]
mod harness;
#[path = "window/layout.rs"]
mod layout;
#[cfg(unix)]
#[path = "window/program.rs"]
mod program;
#[path = "window/promises.rs"]
mod promises;
#[path = "window/try_out.rs"]
mod try_out;
#[path = "window/whole_path.rs"]
mod whole_path;
