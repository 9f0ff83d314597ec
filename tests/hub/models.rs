//! What is offered, where it lies, and how it is found.

use crate::common::{Setup, TEXT, UNET, assert_says, text};
use crate::server::{COMMIT, Faults, ID, etag};
use luxedit::error::Cancel;
use luxedit::gpu::Gpu;
use luxedit::hub::{Offer, cached_models, get, is_id, resolve};
use luxedit::settings::Precision;
use luxedit::worker::{Command as Ask, Event, WorkerHandle};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn an_offer_tells_size_and_license_and_only_what_an_edit_needs() {
    let setup = Setup::new();
    let offer = setup.offer();
    let mut names: Vec<&str> = offer.files.iter().map(|f| f.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            TEXT,
            "tokenizer/merges.txt",
            "tokenizer/special_tokens_map.json",
            "tokenizer/tokenizer_config.json",
            "tokenizer/vocab.json",
            "unet/config.json",
            UNET,
            "vae/config.json",
            "vae/diffusion_pytorch_model.fp16.safetensors",
        ]
    );
    let total: usize = names.iter().map(|n| setup.server.content(n).len()).sum();
    assert_eq!(offer.total_bytes, total as u64);
    assert_eq!(offer.missing_bytes, total as u64);
    assert_eq!(offer.license.as_deref(), Some("mit"));
    assert_eq!(offer.commit, COMMIT);
    assert!(offer.free_bytes > 0);
    assert!(!setup.hub.cache.exists(), "looking writes nothing");

    let full = luxedit::hub::offer(&setup.hub, ID, Precision::Full, &Cancel::default()).unwrap();
    assert!(
        full.files
            .iter()
            .any(|f| f.name == "unet/diffusion_pytorch_model.safetensors")
    );
    assert!(full.files.iter().all(|f| !f.name.contains("fp16")));
}

#[test]
fn a_fetched_model_lies_as_every_tool_expects_and_is_found() {
    let setup = Setup::new();
    let mut last = None;
    let mut reports = 0;
    let offer = setup.offer();
    let folder = get(&setup.hub, &offer, &Cancel::default(), &mut |now| {
        assert!(now.done_bytes <= now.total_bytes, "{now:?}");
        reports += 1;
        last = Some(now.clone());
    })
    .unwrap();
    let last = last.unwrap();
    assert!(reports > offer.files.len());
    assert_eq!(last.done_bytes, offer.total_bytes);
    setup.assert_whole(&folder);
    assert_eq!(folder, setup.repo().join("snapshots").join(COMMIT));
    let main = std::fs::read_to_string(setup.repo().join("refs/main")).unwrap();
    assert_eq!(main, COMMIT, "no line feed: other tools read it as it is");
    for file in &offer.files {
        let etag = etag(&file.name, setup.server.content(&file.name));
        let blob = setup.repo().join("blobs").join(&etag);
        assert!(blob.is_file() && !blob.is_symlink(), "{}", file.name);
        if cfg!(unix) {
            let link = std::fs::read_link(folder.join(&file.name)).unwrap();
            let up = "../".repeat(2 + file.name.matches('/').count());
            assert_eq!(link.to_str().unwrap(), format!("{up}blobs/{etag}"));
        }
        assert!(!setup.partial(&file.name).exists());
    }

    assert_eq!(resolve(&setup.hub, ID).unwrap(), folder);
    let cached = cached_models(&setup.hub).unwrap();
    assert_eq!(cached.len(), 1);
    assert_eq!(
        (cached[0].id.as_str(), cached[0].bytes),
        (ID, offer.total_bytes)
    );
    assert!(cached[0].missing.is_empty());

    setup.server.forget_requests();
    let again = setup.offer();
    assert_eq!(again.missing_bytes, 0);
    get(&setup.hub, &again, &Cancel::default(), &mut |_| {}).unwrap();
    assert_eq!(
        setup.server.requests().len(),
        1,
        "only the description is asked for"
    );

    match std::env::var("LUXEDIT_PYTHON") {
        Err(_) => println!("SKIPPED: LUXEDIT_PYTHON names no Python with huggingface_hub"),
        Ok(python) => found_by_python(&setup, &python, &offer),
    }
}

/// `huggingface_hub` takes the files for its own: nothing is fetched again, and its scan finds no fault.
fn found_by_python(setup: &Setup, python: &str, offer: &Offer) {
    let script = "
import sys, json
from huggingface_hub import snapshot_download, scan_cache_dir, hf_hub_download
cache, repo, names = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
folder = snapshot_download(repo, cache_dir=cache, local_files_only=True)
info = scan_cache_dir(cache)
assert not info.warnings, info.warnings
[only] = info.repos
assert only.repo_id == repo and list(only.refs) == ['main'], only
for name in names:
    assert hf_hub_download(repo, name, cache_dir=cache, local_files_only=True) == f'{folder}/{name}'
print(folder, only.nb_files, only.size_on_disk)
# It asks the server as well, and finds all of it there already.
online = snapshot_download(repo, cache_dir=cache, allow_patterns=names)
assert online == folder
";
    let names: Vec<&str> = offer.files.iter().map(|f| f.name.as_str()).collect();
    let out = Command::new(python)
        .args(["-c", script])
        .arg(&setup.hub.cache)
        .args([ID, &serde_json::to_string(&names).unwrap()])
        .env("HF_ENDPOINT", setup.server.endpoint())
        .env("HF_HUB_DISABLE_XET", "1")
        .output()
        .expect("LUXEDIT_PYTHON runs");
    assert!(out.status.success(), "{}", text(&out.stderr));
    println!("huggingface_hub found {}", text(&out.stdout).trim());
}

#[test]
fn offline_asks_nobody_and_uses_what_is_here() {
    let setup = Setup::new();
    let offline = |args: &[&str]| {
        let out = setup
            .binary(args)
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let (code, _, error) = offline(&["model", "get", ID]);
    assert_eq!(code, Some(1));
    assert_says(&error, &["HF_HUB_OFFLINE", ID]);
    assert!(setup.server.requests().is_empty());

    setup.get().unwrap();
    setup.server.forget_requests();
    let (code, out, _) = offline(&["model", "list"]);
    assert_eq!(code, Some(0));
    assert_says(&out, &[ID, "MB", COMMIT]);
    let (code, out, error) = offline(&["model", "check", ID, "--edit-device", "cpu"]);
    assert_eq!(code, Some(0), "{error}");
    assert_says(&out, &["unet:", "F16", "all finite", "CPU computes right"]);
    assert!(setup.server.requests().is_empty());
}

#[test]
fn an_id_edits_once_it_is_here_and_before_says_how_to_get_it() {
    let setup = Setup::new();
    let png = setup.home.path().join("out.png").display().to_string();
    let picture = "assets/demo/images/view_00.jpg";
    let edit = [
        "edit-image",
        picture,
        "-o",
        &png,
        "--prompt",
        "turn it into bronze",
        "--model",
        ID,
        "--diffusion-steps",
        "1",
        "--edit-device",
        "cpu",
    ];
    let out = setup.run(&edit);
    assert_eq!(out.status.code(), Some(1));
    assert_says(
        &text(&out.stderr),
        &[&format!("luxedit model get {ID}"), "Get model…"],
    );

    let got = setup.run(&["model", "get", ID]);
    assert!(got.status.success(), "{}", text(&got.stderr));
    assert_says(&text(&got.stdout), &[COMMIT, &format!("--model {ID}")]);
    let out = setup.run(&edit);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(Path::new(&png).is_file());

    // A file that another tool has taken away.
    std::fs::remove_file(setup.repo().join("snapshots").join(COMMIT).join(UNET)).unwrap();
    let out = setup.run(&edit);
    assert_says(&text(&out.stderr), &[UNET, "luxedit model get"]);
    let listed = setup.run(&["model", "list"]);
    assert_says(&text(&listed.stdout), &["incomplete", ID]);
}

#[test]
fn ids_are_told_from_paths() {
    for id in ["timbrooks/instruct-pix2pix", "a/b", "A.b_c/d-e.f"] {
        assert!(is_id(id), "{id}");
    }
    for path in [
        "model", "/a/b", "./a", "a/b/c", "../a", "a/..", "a/", "a b/c", "a--b/c", "a\\b",
    ] {
        assert!(!is_id(path), "{path}");
    }
    let setup = Setup::new();
    let error = resolve(&setup.hub, "/nowhere/at all")
        .unwrap_err()
        .to_string();
    assert_says(&error, &["/nowhere/at all", "is not there"]);
}

/// The window's way: the same transfer by the worker's messages, beside its jobs. The worker asks the environment where
/// the Hub is, so that this is the one test that sets it.
#[test]
fn the_worker_offers_fetches_and_stops() {
    let gpu = match Gpu::headless() {
        Ok(gpu) => gpu,
        Err(e) => {
            println!("SKIPPED: {e}");
            return;
        }
    };
    let setup = Setup::new();
    // SAFETY: no other test of this binary reads the environment through anything but the standard library, which locks
    // it.
    unsafe {
        std::env::set_var("HF_HOME", setup.home.path());
        std::env::set_var("HF_ENDPOINT", setup.server.endpoint());
    }
    let worker = WorkerHandle::spawn(gpu, || {}).unwrap();
    let next = || {
        loop {
            let event = worker.events.recv_timeout(Duration::from_secs(60)).unwrap();
            if let Event::ModelOffered(_)
            | Event::ModelFetched { .. }
            | Event::ModelStopped
            | Event::ModelFailed(_) = event
            {
                return event;
            }
        }
    };
    let ask = || {
        worker
            .send(Ask::OfferModel {
                id: ID.into(),
                precision: Precision::Half,
            })
            .unwrap();
        match next() {
            Event::ModelOffered(offer) => offer,
            other => panic!("{other:?}"),
        }
    };
    setup.server.fail(Faults {
        delay: Duration::from_millis(300),
        ..Faults::default()
    });
    let offer = ask();
    worker.send(Ask::GetModel(offer.clone())).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while worker
        .slots
        .fetch
        .take()
        .is_none_or(|now| now.done_bytes == 0)
    {
        assert!(Instant::now() < until, "no progress is told");
        std::thread::sleep(Duration::from_millis(10));
    }
    worker.send(Ask::GetModel(offer)).unwrap();
    match next() {
        Event::ModelFailed(problem) => assert_says(&problem, &["already"]),
        other => panic!("{other:?}"),
    }
    worker.send(Ask::StopModel).unwrap();
    assert!(matches!(next(), Event::ModelStopped));
    setup.server.fail(Faults::default());
    worker.send(Ask::GetModel(ask())).unwrap();
    match next() {
        Event::ModelFetched { id, folder } => {
            assert_eq!(id, ID);
            setup.assert_whole(&folder);
        }
        other => panic!("{other:?}"),
    }
    worker.shut_down();
}
