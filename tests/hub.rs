//! Models from a Hub on the loopback: fetched, cut, resumed, damaged, stopped, found again; by the library, by the real
//! binary, and by the worker that the window drives. `LUXEDIT_PYTHON` names a Python with `huggingface_hub` that has to
//! find the files as well.

#[path = "hub/server.rs"]
mod server;

use luxedit::{
    Error,
    error::Cancel,
    gpu::Gpu,
    hub::{Hub, Offer, cached_models, get, is_id, offer, resolve},
    settings::Precision,
    worker::{Command as Ask, Event, WorkerHandle},
};
use server::{COMMIT, Faults, ID, Server, etag};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const UNET: &str = "unet/diffusion_pytorch_model.fp16.safetensors";
const TEXT: &str = "text_encoder/model.fp16.safetensors";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

struct Setup {
    server: Server,
    hub: Hub,
    home: TempDir,
}

impl Setup {
    fn new() -> Self {
        Self::at(TempDir::new().unwrap())
    }

    fn at(home: TempDir) -> Self {
        let server = Server::start(&root().join("tests/fixtures/ip2p_tiny"));
        let hub = Hub {
            endpoint: server.endpoint(),
            cache: home.path().join("hub"),
            token: None,
            offline: false,
        };
        Self { server, hub, home }
    }

    fn offer(&self) -> Offer {
        offer(&self.hub, ID, Precision::Half, &Cancel::default()).unwrap_or_else(|e| panic!("{e}"))
    }

    fn get(&self) -> luxedit::Result<PathBuf> {
        get(&self.hub, &self.offer(), &Cancel::default(), &mut |_| {})
    }

    fn repo(&self) -> PathBuf {
        self.hub
            .cache
            .join(format!("models--{}", ID.replace('/', "--")))
    }

    fn partial(&self, name: &str) -> PathBuf {
        let etag = etag(name, self.server.content(name));
        self.repo().join("blobs").join(format!("{etag}.incomplete"))
    }

    fn assert_whole(&self, folder: &Path) {
        for file in self.offer().files {
            let found = std::fs::read(folder.join(&file.name)).unwrap();
            assert!(
                found == self.server.content(&file.name),
                "{} differs",
                file.name
            );
        }
    }

    fn binary(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luxedit"));
        command
            .args(args)
            .current_dir(root())
            .env("HF_HOME", self.home.path())
            .env("HF_ENDPOINT", self.server.endpoint())
            .env("XDG_CONFIG_HOME", self.home.path().join("config"));
        for name in [
            "HF_HUB_CACHE",
            "HF_TOKEN",
            "HF_HUB_OFFLINE",
            "HF_TOKEN_PATH",
        ] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.binary(args).output().expect("the binary starts")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "\"{word}\" is not in: {message}");
    }
}

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
fn the_token_goes_to_the_hub_alone() {
    let mut setup = Setup::new();
    setup.server.fail(Faults {
        needs_token: true,
        ..Faults::default()
    });
    let refused = offer(&setup.hub, ID, Precision::Half, &Cancel::default()).unwrap_err();
    assert_says(&refused.to_string(), &["private", "HF_TOKEN"]);
    setup.hub.token = Some("hf_wrong".into());
    let refused = offer(&setup.hub, ID, Precision::Half, &Cancel::default()).unwrap_err();
    assert_says(&refused.to_string(), &["refuses the token"]);

    std::fs::write(setup.home.path().join("token"), "hf_secret\n").unwrap();
    setup.server.forget_requests();
    let out = setup.run(&["model", "get", ID]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let requests = setup.server.requests();
    assert!(requests.iter().any(|r| r.host.starts_with("localhost")));
    for request in requests {
        let is_hub = request.host.starts_with("127.0.0.1");
        assert_eq!(request.token.is_some(), is_hub, "{request:?}");
    }
}

#[test]
fn what_the_hub_refuses_is_said_in_words() {
    let setup = Setup::new();
    let ask = |id: &str| {
        let outcome = offer(&setup.hub, id, Precision::Half, &Cancel::default());
        outcome.unwrap_err().to_string()
    };
    assert_says(&ask("someone/else"), &["knows no someone/else"]);
    assert_says(
        &ask("../../etc/passwd"),
        &["no model of the Hub", "owner/name"],
    );
    setup.server.fail(Faults {
        status: Some(403),
        ..Faults::default()
    });
    assert_says(&ask(ID), &["accept its terms", ID]);
    setup.server.fail(Faults {
        status: Some(503),
        ..Faults::default()
    });
    assert_says(&ask(ID), &["fault of its own", "503"]);

    let mut nobody = setup.hub.clone();
    nobody.endpoint = "http://127.0.0.1:1".into();
    let error = offer(&nobody, ID, Precision::Half, &Cancel::default()).unwrap_err();
    assert_says(&error.to_string(), &["does not answer", "HF_ENDPOINT"]);
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
