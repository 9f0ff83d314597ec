//! Lines that break, bytes that change, disks that fill, and stops: nothing that came is lost, nothing damaged is kept.

use crate::common::{Setup, TEXT, UNET, assert_says, text};
use crate::server::{COMMIT, Faults, ID, etag};
use luxedit::Error;
use luxedit::error::Cancel;
use luxedit::hub::{get, resolve};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[test]
fn a_line_that_breaks_is_taken_up_where_it_broke() {
    let setup = Setup::new();
    setup.server.fail(Faults {
        cuts: 3,
        cut_after: 300_000,
        ..Faults::default()
    });
    let folder = setup.get().unwrap();
    setup.assert_whole(&folder);
    let ranges: Vec<_> = setup
        .server
        .requests()
        .iter()
        .filter(|r| r.path.starts_with("/lfs/"))
        .filter_map(|r| r.range)
        .collect();
    assert_eq!(ranges, [300_000, 600_000, 900_000]);
}

#[test]
fn what_came_before_a_lasting_cut_is_kept_for_the_next_time() {
    let setup = Setup::new();
    setup.server.fail(Faults {
        cuts: u32::MAX,
        cut_after: 0,
        ..Faults::default()
    });
    let began = Instant::now();
    let error = setup.get().unwrap_err().to_string();
    assert_says(&error, &["127.0.0.1", "broke", TEXT, "go on from there"]);
    assert!(began.elapsed() < Duration::from_secs(30));

    setup.server.fail(Faults::default());
    let content = setup.server.content(TEXT);
    std::fs::write(setup.partial(TEXT), &content[..1_000_000]).unwrap();
    let offer = setup.offer();
    assert!(
        offer.missing_bytes <= offer.total_bytes - 1_000_000,
        "what is there counts"
    );
    setup.server.forget_requests();
    setup.assert_whole(&setup.get().unwrap());
    let resumed = setup.server.requests();
    assert!(
        resumed
            .iter()
            .any(|r| r.path.ends_with(TEXT) && r.range == Some(1_000_000)),
        "{resumed:?}"
    );
}

#[test]
fn a_damaged_byte_is_detected_and_said() {
    let setup = Setup::new();
    for name in ["tokenizer/vocab.json", UNET] {
        setup.server.fail(Faults {
            corrupt: Some(name.into()),
            ..Faults::default()
        });
        let error = setup.get().unwrap_err().to_string();
        let expected = etag(name, setup.server.content(name));
        assert_says(&error, &[name, "damaged", &expected, "again"]);
        assert!(!setup.partial(name).exists(), "nothing of it stays");
        assert!(resolve(&setup.hub, ID).is_err(), "half a model is none");
    }
    setup.server.fail(Faults::default());
    setup.assert_whole(&setup.get().unwrap());
}

#[test]
fn a_damaged_beginning_is_detected_when_it_is_resumed() {
    let setup = Setup::new();
    let partial = setup.partial(UNET);
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, vec![1; 500_000]).unwrap();
    let error = setup.get().unwrap_err().to_string();
    assert_says(&error, &[UNET, "damaged"]);
    setup.assert_whole(&setup.get().unwrap());

    // One that is longer than the file is nothing of it.
    let setup = Setup::new();
    let partial = setup.partial(UNET);
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, vec![1; 5_000_000]).unwrap();
    setup.assert_whole(&setup.get().unwrap());
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let setup = Setup::new();
    setup.server.fail(Faults {
        cuts: 2,
        cut_after: 200_000,
        ignores_ranges: true,
        ..Faults::default()
    });
    let offer = setup.offer();
    let mut most = 0;
    let folder = get(&setup.hub, &offer, &Cancel::default(), &mut |now| {
        most = most.max(now.done_bytes);
    })
    .unwrap();
    setup.assert_whole(&folder);
    assert_eq!(most, offer.total_bytes, "nothing is counted twice");
}

#[test]
fn a_stop_takes_effect_within_a_chunk_and_keeps_what_came() {
    let setup = Setup::new();
    setup.server.fail(Faults {
        delay: Duration::from_millis(400),
        ..Faults::default()
    });
    let offer = setup.offer();
    let cancel = Cancel::default();
    let mut stopped_at = None;
    let outcome = get(&setup.hub, &offer, &cancel, &mut |now| {
        if now.file == TEXT
            && stopped_at.is_none()
            && setup.partial(TEXT).metadata().is_ok_and(|m| m.len() > 0)
        {
            stopped_at = Some(Instant::now());
            cancel.cancel();
        }
    });
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    let took = stopped_at.unwrap().elapsed();
    assert!(
        took < Duration::from_millis(350),
        "it took {took:?} to stop"
    );
    let kept = std::fs::metadata(setup.partial(TEXT)).unwrap().len();
    assert!(kept > 0);
    setup.server.fail(Faults::default());
    setup.assert_whole(&setup.get().unwrap());
}

#[test]
fn a_killed_process_leaves_what_came_and_the_next_one_goes_on() {
    let setup = Setup::new();
    setup.server.fail(Faults {
        delay: Duration::from_millis(60),
        ..Faults::default()
    });
    let mut child = setup
        .binary(&["model", "get", ID])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let partial = setup.partial(TEXT);
    let until = Instant::now() + Duration::from_secs(30);
    while partial.metadata().map_or(0, |m| m.len()) < 500_000 {
        assert!(Instant::now() < until, "the transfer does not get going");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let came = partial.metadata().unwrap().len();
    assert!(came < setup.server.content(TEXT).len() as u64);
    assert!(resolve(&setup.hub, ID).is_err());

    setup.server.fail(Faults::default());
    setup.server.forget_requests();
    let out = setup.run(&["model", "get", ID, "--json"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["license"], "mit");
    assert_eq!(report["fetched"], true);
    assert_says(&text(&out.stderr), &["license mit", "MB", "free"]);
    let resumed = setup.server.requests();
    assert!(
        resumed
            .iter()
            .any(|r| r.path.ends_with(TEXT) && r.range == Some(came as usize)),
        "{resumed:?}"
    );
    setup.assert_whole(&setup.repo().join("snapshots").join(COMMIT));
}

/// A small disk of its own; `None`, said, where none may be mounted.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(out) if out.status.success() => Some(Self(folder)),
            Ok(out) => {
                println!(
                    "SKIPPED: no small disk can be mounted: {}",
                    text(&out.stderr).trim()
                );
                None
            }
            Err(e) => {
                println!("SKIPPED: no small disk can be mounted: {e}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|s| s.success()));
    }
}

#[test]
fn a_disk_that_is_too_small_is_refused_before_and_a_full_one_said() {
    let setup = Setup::new();
    let mut offer = setup.offer();
    offer.missing_bytes = u64::MAX / 2;
    let error = get(&setup.hub, &offer, &Cancel::default(), &mut |_| {}).unwrap_err();
    assert_says(&error.to_string(), &["needs", "GB", "free", "HF_HOME"]);
    assert!(!setup.hub.cache.exists(), "nothing was begun");

    let Some(disk) = SmallDisk::mount(80 << 20) else {
        return;
    };
    let mut setup = Setup::new();
    setup.hub.cache = disk.0.path().join("hub");
    setup.server.fail(Faults {
        delay: Duration::from_millis(20),
        ..Faults::default()
    });
    let offer = setup.offer();
    let filler = disk.0.path().join("filler");
    let outcome = get(&setup.hub, &offer, &Cancel::default(), &mut |now| {
        if now.file == TEXT && !filler.exists() {
            // Another program fills the disk meanwhile.
            let full = std::fs::write(&filler, vec![0; 100 << 20]);
            assert!(full.is_err());
        }
    });
    assert_says(
        &outcome.unwrap_err().to_string(),
        &["needs", "free", "make room"],
    );
    std::fs::remove_file(&filler).unwrap();
    setup.server.fail(Faults::default());
    setup.assert_whole(&setup.get().unwrap());
}
