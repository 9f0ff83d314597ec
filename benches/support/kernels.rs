//! What kernels take, for the benchmarks, told in one way.

use luxedit::gpu::KernelTime;
use std::collections::BTreeMap;

/// What a kernel moves in a step.
pub struct Bytes {
    /// If it read and wrote everything once.
    pub needs: f64,
    /// What the loads and stores of all its invocations come to, most of which caches answer where it is more.
    pub moves: f64,
}

/// Of `steps` steps. `bytes`: of those kernels for which they are known.
pub fn table(times: &BTreeMap<&str, KernelTime>, bytes: &[(&str, Bytes)], steps: u32) {
    let steps = f64::from(steps);
    println!(
        "{:<26} {:>10} {:>9} {:>6} {:>10} {:>10} {:>6} {:>8}",
        "kernel", "dispatches", "ms", "share", "needs MB", "moves MB", "ratio", "GB/s"
    );
    let total: f64 = times.values().map(|t| t.total.as_secs_f64()).sum();
    let mut rows: Vec<_> = times.iter().collect();
    rows.sort_by_key(|(_, time)| std::cmp::Reverse(time.total));
    for (name, time) in rows {
        let seconds = time.total.as_secs_f64();
        let moved = match bytes.iter().find(|(known, _)| known == name) {
            Some((_, Bytes { needs, moves })) => format!(
                " {:>10.2} {:>10.2} {:>6.2} {:>8.2}",
                needs / 1e6,
                moves / 1e6,
                moves / needs,
                moves * steps / seconds / 1e9
            ),
            None => String::new(),
        };
        println!(
            "{name:<26} {:>10} {:>9.2} {:>5.1}%{moved}",
            f64::from(time.dispatches) / steps,
            seconds * 1e3 / steps,
            100.0 * seconds / total,
        );
    }
    println!("{:<26} {:>10} {:>9.2}", "all", "", total * 1e3 / steps);
}
