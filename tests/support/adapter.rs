//! The graphics adapter that a test runs on.

use luxedit::gpu::Gpu;
use std::sync::Arc;

/// `None`, in words, where there is no adapter.
pub fn gpu() -> Option<Arc<Gpu>> {
    match Gpu::headless() {
        Ok(gpu) => Some(gpu),
        Err(e) => {
            println!("SKIPPED: {e}");
            None
        }
    }
}
