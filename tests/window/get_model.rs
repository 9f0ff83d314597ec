//! The dialog that fetches a model, against a worker that plays a script.

use crate::{fake::fake_worker, harness::open_window};
use eframe::egui::{Key, Modifiers};
use luxedit::{
    hub::{Checksum, FetchProgress, Offer, OfferedFile},
    settings::Precision,
    worker::{Command, Event},
};

const ID: &str = "timbrooks/instruct-pix2pix";

fn offer(missing_bytes: u64, free_bytes: u64) -> Box<Offer> {
    Box::new(Offer {
        id: ID.into(),
        commit: "31519b5cb02a7fd89b906d88731cd4d6a7bbf88d".into(),
        license: Some("mit".into()),
        files: vec![OfferedFile {
            name: "unet/config.json".into(),
            bytes: 2_134_000_000,
            checksum: Checksum::Sha256("00".into()),
            here_bytes: 0,
        }],
        folder: "/home/me/.cache/huggingface/hub/models--timbrooks--instruct-pix2pix".into(),
        total_bytes: 2_134_000_000,
        missing_bytes,
        free_bytes,
    })
}

#[test]
fn a_model_is_looked_up_fetched_stopped_and_used() {
    let mut script = None;
    let Some(mut window) = open_window([1280.0, 800.0], |gpu| {
        let (ours, worker) = fake_worker(gpu);
        script = Some(ours);
        worker
    }) else {
        return;
    };
    let script = script.expect("a script");
    window.press(Modifiers::COMMAND, Key::K);
    window.type_into("Command", "get model");
    window.press(Modifiers::NONE, Key::Enter);
    window.until_label("Get an edit model");
    window.until_label("Asking the Hub");
    let asked = script.asked();
    assert!(
        asked.iter().any(
            |c| matches!(c, Command::OfferModel { id, precision: Precision::Half } if id == ID)
        ),
        "{asked:?}"
    );

    script.say(Event::ModelFailed("huggingface.co does not answer".into()));
    window.until_label("Huggingface.co does not answer");
    window.keep_picture("get-model-failed");
    window.click("Try again");
    assert!(matches!(script.asked()[..], [Command::OfferModel { .. }]));

    script.say(Event::ModelOffered(offer(2_134_000_000, 1_000_000_000)));
    window.until_label("1.00 GB");
    assert!(window.is_disabled("Get it"), "the disk is too small");

    script.say(Event::ModelOffered(offer(2_134_000_000, 80_000_000_000)));
    window.until_label("80.00 GB");
    for fact in ["mit", "2.13 GB", "models--timbrooks--instruct-pix2pix"] {
        assert!(window.has(fact), "{fact}");
    }
    window.steps(3);
    window.keep_picture("get-model-offer");
    window.click("Get it");
    assert!(matches!(&script.asked()[..], [Command::GetModel(offer)] if offer.id == ID));

    script.fetching(FetchProgress {
        file: "unet/diffusion_pytorch_model.fp16.safetensors".into(),
        done_bytes: 1_020_000_000,
        total_bytes: 2_134_000_000,
        bytes_per_sec: 12_300_000.0,
        eta_secs: Some(90.6),
    });
    window.until_label("1.02 GB of 2.13 GB, 12.3 MB a second, 2 min left");
    assert!(window.has("unet/diffusion_pytorch_model.fp16.safetensors"));
    window.steps(3);
    window.keep_picture("get-model-running");

    // It goes on when the dialog is closed, and is still there when it is opened again.
    window.click("Close");
    assert!(!window.has("Get an edit model"));
    window.press(Modifiers::COMMAND, Key::K);
    window.type_into("Command", "get model");
    window.press(Modifiers::NONE, Key::Enter);
    window.until_label("1.02 GB of 2.13 GB");
    window.steps(3);
    assert!(script.asked().is_empty(), "nothing is asked again");
    window.click("Stop");
    let asked = script.asked();
    assert!(matches!(asked[..], [Command::StopModel]), "{asked:?}");
    script.say(Event::ModelStopped);
    window.until_label("goes on from there");
    window.steps(3);

    window.click("Look up");
    script.say(Event::ModelOffered(offer(1_114_000_000, 80_000_000_000)));
    window.until_label("1.11 GB");
    window.steps(3);
    window.click("Get it");
    script.say(Event::ModelFetched {
        id: ID.into(),
        folder: "/home/me".into(),
    });
    window.until_label("Use this model");
    window.steps(3);
    window.click("Use this model");
    assert!(!window.has("Get an edit model"));
    script.asked();
    window.steps(40);
    script.open(
        true,
        luxedit::settings::Settings {
            model: ID.into(),
            prompt: "make it bronze".into(),
            ..Default::default()
        },
    );
    script.draw(0.3);
    window.until_label("Start edit");
    assert!(!window.is_disabled("Start edit"), "an id is a model");
}
