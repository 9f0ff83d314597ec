//! How burn finds its kernels. For every shape that a network brings, several ways to compute it are compiled and timed,
//! and the quickest is kept; for a model of full size that is most of what a first edit takes. Built with the feature
//! `kept-tuning`, what was found, and what was compiled, is kept on disk, in the user's cache folder, where the next start finds
//! it. A folder that cannot be written costs the next start its time and nothing else.

use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, autotune::AutotuneLevel};

/// Takes effect once in a process, before burn has a device; a configuration that was read before stays.
pub fn configure(software: bool) {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    #[cfg(feature = "kept-tuning")]
    keep(&mut config);
    if software {
        tune_briefly(&mut config);
    }
    if !CubeClRuntimeConfig::try_set(config) {
        log::debug!("burn has read its configuration already");
    }
}

/// Kernels are timed once each instead of up to ten times: on a software adapter a single time tells them apart. Sizes
/// within a quarter of each other share what was found. Not so on a card: attention whose heads are 40 and 80 wide would
/// share a kernel, and what fits a workgroup's memory for one does not for the other.
fn tune_briefly(config: &mut CubeClRuntimeConfig) {
    // Also what stands where nobody chose, so one that was chosen is taken for it.
    if matches!(config.autotune.level, AutotuneLevel::Balanced) {
        config.autotune.level = AutotuneLevel::Minimal;
    }
    let bench = &mut config.autotune.bench;
    (
        bench.min_samples,
        bench.max_samples,
        bench.short_circuit_samples,
    ) = (1, 1, 1);
    bench.speed_factor = 1.0;
}

#[cfg(feature = "kept-tuning")]
fn keep(config: &mut CubeClRuntimeConfig) {
    match kept_in() {
        Some(folder) => {
            config.environment.path = cubecl::config::cache::CacheConfig::Directory(folder);
            config.compilation.cache = true;
        }
        None => {
            config.autotune.disable_cache = true;
            config.throughput.disable_cache = true;
        }
    }
}

/// The environment variable `LUXEDIT_KERNEL_CACHE` names another folder; empty: keep nothing.
#[cfg(feature = "kept-tuning")]
fn kept_in() -> Option<std::path::PathBuf> {
    use etcetera::BaseStrategy;
    match std::env::var_os("LUXEDIT_KERNEL_CACHE") {
        Some(named) if named.is_empty() => None,
        Some(named) => Some(named.into()),
        None => match etcetera::choose_base_strategy() {
            Ok(folders) => Some(folders.cache_dir().join("luxedit").join("kernels")),
            Err(e) => {
                log::warn!("kernels are found anew at each start: no cache folder ({e})");
                None
            }
        },
    }
}
