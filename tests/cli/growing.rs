//! Reconstructions whose set of splats grows.

use crate::common::{CAPTURE, assert_says, json, kill_when, path, ply};
use serde_json::Value;
use tempfile::TempDir;

fn reconstruct(project: &str, more: &[&str]) -> Value {
    json(&reconstruct_args(project, more))
}

fn reconstruct_args<'a>(project: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "reconstruct",
        CAPTURE,
        "-o",
        project,
        "--steps",
        "200",
        "--json",
    ];
    args.extend(more);
    args
}

fn splats(report: &Value) -> u64 {
    report["splats"].as_u64().expect("a number of splats")
}

#[test]
fn a_reconstruction_says_what_keeps_it_from_growing() {
    let dir = TempDir::new().unwrap();
    let few = ["--strategy", "mcmc", "--sh-degree", "1"];
    let run = |name: &str, more: &[&str]| {
        let more: Vec<&str> = few.iter().chain(more).copied().collect();
        reconstruct(&path(&dir, name), &more)
    };
    let free = run("free.luxedit", &["--max-splats", "100000"]);
    assert!(free["splat_cap_reached"].is_null(), "{free}");
    let fixed = reconstruct(&path(&dir, "fixed.luxedit"), &["--strategy", "none"]);
    assert!(splats(&free) > splats(&fixed), "{free}");

    let full = run("full.luxedit", &["--max-splats", "700"]);
    assert_eq!(splats(&full), 700);
    assert_eq!(full["splat_cap_reached"], 700);
    assert_says(
        &full["warnings"].to_string(),
        &["700 splats", "--max-splats"],
    );
    let warnings = full["warnings"].as_array().unwrap();
    let told = warnings
        .iter()
        .filter(|w| w.to_string().contains("700 splats"));
    assert_eq!(told.count(), 1, "{full}");

    let small = run("small.luxedit", &["--splat-memory", "1"]);
    assert_says(&small["warnings"].to_string(), &["--splat-memory"]);
    assert_eq!(small["splat_cap_reached"], splats(&small));
    assert!(splats(&small) < 2000);
}

#[test]
fn killed_while_growing_the_resumed_run_ends_where_an_uninterrupted_one_ends() {
    let dir = TempDir::new().unwrap();
    for strategy in ["default", "mcmc"] {
        let more = [
            "--strategy",
            strategy,
            "--growth-gradient",
            "0.00002",
            "--max-splats",
            "4000",
            "--autosave",
            "1",
            "--snapshot-interval",
            "10",
        ];
        let [whole, broken] =
            ["whole", "broken"].map(|name| path(&dir, &format!("{strategy}-{name}.luxedit")));
        let report = reconstruct(&whole, &more);
        kill_when(&reconstruct_args(&broken, &more), &broken, |m| {
            m["live"]["step"].as_u64().is_some_and(|s| s >= 50)
        });
        let resumed = json(&["edit", &broken, "--resume", "--json"]);
        assert_eq!(
            (&resumed["step"], splats(&resumed)),
            (&report["step"], splats(&report))
        );
        assert!(
            ply(&whole) == ply(&broken),
            "{strategy}: it ended elsewhere"
        );
    }
}
