//! The threads of Mesa's software adapter, as Linux sees them. A test program of its own, because the devices of other tests
//! have threads of the same name.
#![cfg(target_os = "linux")]

#[path = "support/adapter.rs"]
mod adapter;

use adapter::gpu;
use std::{collections::BTreeSet, path::Path};

/// Processors that a thread may run on.
fn allowed(task: &Path) -> BTreeSet<usize> {
    let status = std::fs::read_to_string(task.join("status")).expect("a status");
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("a list of processors");
    let number = |text: &str| text.trim().parse::<usize>().expect("a number");
    let ranges = list
        .split(',')
        .flat_map(|range| match range.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(range)..=number(range),
        });
    ranges.collect()
}

/// Where they are fewer than processors, they stay free.
#[test]
fn a_software_adapters_threads_have_a_processor_each() {
    let Some(gpu) = gpu() else { return };
    if !gpu.is_software() {
        println!("SKIPPED: {} is a graphics card", gpu.info.name);
        return;
    }
    let processors = allowed(Path::new("/proc/thread-self"));
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
    let threads: Vec<BTreeSet<usize>> = tasks
        .map(|task| task.expect("a thread").path())
        .filter(|task| {
            let name = std::fs::read_to_string(task.join("comm"));
            name.is_ok_and(|name| name.trim_end() == "luxedit-adapter")
        })
        .map(|task| allowed(&task))
        .collect();
    println!("processors {processors:?}, threads {threads:?}");
    if threads.is_empty() {
        println!("SKIPPED: this adapter has no threads, or gives them names of its own");
    } else if threads.len() < processors.len() {
        assert!(threads.iter().all(|allowed| *allowed == processors));
    } else {
        assert!(threads.iter().all(|allowed| allowed.len() == 1));
        let dealt: BTreeSet<usize> = threads.into_iter().flatten().collect();
        assert_eq!(dealt, processors);
    }
}
