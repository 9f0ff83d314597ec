//! An edit model that nobody uses leaves the graphics card, and comes back.

use crate::{Driven, adapter::gpu};
use burn::tensor::Device;
use luxedit::{
    settings::{EditDevice, Loss, Precision, Settings},
    worker::{Command, Event, Job, RunState, ViewEdit, WorkerHandle},
};
use std::time::{Duration, Instant};

const IDLE: Duration = Duration::from_secs(3);

/// A capture with a scene, an edit model for the graphics device, and how many bytes that device holds for networks.
struct OnCard {
    driven: Driven,
    device: Device,
    before: u64,
}

impl OnCard {
    fn start() -> Option<Self> {
        let gpu = gpu()?;
        let worker = WorkerHandle::spawn_idling(gpu.clone(), IDLE, || {}).unwrap();
        let settings = Settings {
            prompt: "make it snow".into(),
            model: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ip2p_tiny").into(),
            edit_device: EditDevice::Gpu(None),
            loss: Loss::L1,
            reconstruct_steps: 20,
            diffusion_steps: 4,
            // Its kernels are compiled sooner.
            precision: Precision::Full,
            ..Default::default()
        };
        let mut driven = Driven::on(worker, &settings);
        driven.send(Command::Reconstruct);
        driven.until_done(Job::Reconstruct);
        let device = gpu.burn_device().unwrap();
        let before = held(&device);
        Some(Self {
            driven,
            device,
            before,
        })
    }

    fn held(&self) -> u64 {
        held(&self.device)
    }

    /// Which takes megabytes.
    fn is_loaded(&self) -> bool {
        self.held() > self.before + (1 << 20)
    }

    fn until_loaded(&self) {
        let asked = Instant::now();
        while !self.is_loaded() {
            assert!(
                asked.elapsed() < Duration::from_secs(60),
                "it was not loaded"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn until_it_left(&self) {
        let loaded = self.held();
        let unasked = Instant::now();
        while self.is_loaded() {
            assert!(unasked.elapsed() < 20 * IDLE, "{} bytes", self.held());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(unasked.elapsed() >= IDLE / 2, "it left at once");
        println!("{loaded} bytes with the model, {} without", self.held());
    }

    /// The first that is told of an edit's denoising.
    fn denoising(&self) -> String {
        let asked = Instant::now();
        loop {
            if let Some(progress) = self.driven.worker.slots.progress.take()
                && progress.detail.contains(", denoising ")
            {
                return progress.detail;
            }
            assert!(
                asked.elapsed() < Duration::from_secs(600),
                "nothing is edited"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// In the middle of an edit.
    fn pause(&mut self) {
        let told = self.denoising();
        assert!(told.contains("denoising 1 of"), "{told}");
        self.driven.send(Command::Pause);
        while !matches!(
            self.driven.next(),
            Event::State(RunState::Paused(Job::Edit))
        ) {}
        self.driven.worker.slots.progress.take();
    }

    fn edited(&mut self) -> ViewEdit {
        loop {
            if let Event::ViewEdited(edit) = self.driven.next() {
                return *edit;
            }
        }
    }

    fn stop(&mut self) {
        self.driven.send(Command::Stop);
        assert!(!self.driven.until_done(Job::Edit).0);
        self.driven.worker.slots.progress.take();
    }
}

fn held(device: &Device) -> u64 {
    device.memory_pool_usage().unwrap().bytes_reserved
}

/// Once nobody has asked for anything for a while, the card is other programs'; the next edit loads the model again.
#[test]
fn an_edit_model_leaves_an_idle_card_and_comes_back() {
    let Some(mut on_card) = OnCard::start() else {
        return;
    };
    for _ in ["first", "second"] {
        on_card.driven.send(Command::Edit);
        on_card.until_loaded();
        on_card.stop();
        on_card.until_it_left();
    }
}

/// A pause ends when the artist is back, be it the next day; until then the card is other programs'. The edit that it
/// interrupted is begun anew and gives the same picture, and a pause is no part of what an edit takes.
#[test]
fn a_paused_edit_leaves_an_idle_card_and_gives_the_same_picture() {
    let Some(mut on_card) = OnCard::start() else {
        return;
    };
    let (reconstructed, _) = *on_card.driven.snapshots.last().unwrap();
    on_card.driven.send(Command::Edit);
    on_card.until_loaded();
    let began = Instant::now();
    on_card.pause();
    let pause = IDLE * 2 / 3;
    std::thread::sleep(pause);
    on_card.driven.send(Command::Resume);
    let told = on_card.denoising();
    assert!(!told.contains("denoising 1 of"), "it began anew: {told}");
    let edit = on_card.edited();
    assert!(edit.duration_secs <= (began.elapsed() - pause).as_secs_f64());
    on_card.stop();

    on_card.driven.send(Command::Restore(reconstructed));
    on_card.driven.send(Command::Edit);
    on_card.pause();
    on_card.until_it_left();
    on_card.driven.send(Command::Resume);
    let told = on_card.denoising();
    assert!(told.contains("denoising 1 of"), "{told}");
    let again = on_card.edited();
    assert_eq!((again.view, again.timestep), (edit.view, edit.timestep));
    assert!(again.edited == edit.edited, "another picture");
    on_card.stop();
}
