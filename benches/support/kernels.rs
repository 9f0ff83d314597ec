//! What kernels take, for the benchmarks, told in one way.

use luxedit::gpu::KernelTime;
use std::collections::BTreeMap;

/// Of `steps` steps. `needs`: bytes that a kernel must move in a step, of those for which that is known.
pub fn table(times: &BTreeMap<&str, KernelTime>, needs: &[(&str, f64)], steps: u32) {
    let steps = f64::from(steps);
    println!(
        "{:<26} {:>10} {:>9} {:>6} {:>10} {:>8}",
        "kernel", "dispatches", "ms", "share", "needs MB", "GB/s"
    );
    let total: f64 = times.values().map(|t| t.total.as_secs_f64()).sum();
    let mut rows: Vec<_> = times.iter().collect();
    rows.sort_by_key(|(_, time)| std::cmp::Reverse(time.total));
    for (name, time) in rows {
        let seconds = time.total.as_secs_f64();
        let (megabytes, rate) = match needs.iter().find(|(known, _)| known == name) {
            Some((_, bytes)) => (
                format!("{:.2}", bytes / 1e6),
                format!("{:.2}", bytes * steps / seconds / 1e9),
            ),
            None => ("".into(), "".into()),
        };
        println!(
            "{name:<26} {:>10} {:>9.2} {:>5.1}% {megabytes:>10} {rate:>8}",
            f64::from(time.dispatches) / steps,
            seconds * 1e3 / steps,
            100.0 * seconds / total,
        );
    }
    println!("{:<26} {:>10} {:>9.2}", "all", "", total * 1e3 / steps);
}
