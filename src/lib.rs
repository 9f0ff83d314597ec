//! luxedit turns a captured 3D scene into something else by instruction, live.
//!
//! The library is the whole product; the binary only parses the command line. Its rooms, and who may call
//! whom (an arrow that is missing here is a fault):
//!
//! `app, cli → worker → edit → {splat, luxen, diffusion, loss, metric} → gpu`; `formats → scene`;
//! `worker, diffusion → formats`; `worker, app, cli → tools → formats`; `app, cli, worker → hub`; everything may use [`scene`], [`settings`], [`bundle`] and
//! [`error`]. `app` and `cli` draw through [`edit::Drawable`] and use nothing else of the trainers. `diffusion` knows no
//! scene and `splat` and `luxen` know no diffusion: they meet in [`edit`]. The networks of `loss` (LPIPS) and `metric`
//! (CLIP) are built of `diffusion`'s layers and read by its weight files.

// What a person, a file or a driver can cause is an error, not a panic; a test panics on purpose.
#![warn(clippy::unwrap_used, clippy::expect_used)]

pub mod app;
pub mod bundle;
pub mod cli;
pub mod diffusion;
pub mod edit;
pub mod error;
pub mod formats;
pub mod gpu;
pub mod hub;
pub mod loss;
pub mod luxen;
pub mod metric;
pub mod scene;
pub mod settings;
pub mod splat;
pub mod tools;
pub mod worker;

pub use error::{Error, Result};
