//! A served editor that nobody uses leaves its graphics card, and comes back if it can.

use crate::{
    common::{Slow, gpu, options, tiny, tiny_on},
    edits::{bits, connect, instruction, photo, render},
};
use luxedit::{
    Error, Result,
    edit::{Distilled, EditUpdate, Host, ImageEditor, Instruction, Ip2pEditor, Rest, Watch},
    error::Cancel,
    gpu::GpuImage,
    scene::{FloatImage, Photo},
    settings::{EditDevice, Precision},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Between edits a served model's card is other programs' too. What comes back must be what clients were told of; until it
/// can, an edit waits.
#[test]
fn a_served_editor_leaves_an_idle_card_and_comes_back() {
    let Some(gpu) = gpu() else { return };
    let card = gpu.burn_device().expect("networks run on it");
    let alive = Arc::new(());
    let on_card = {
        let alive = Arc::downgrade(&alive);
        move |inner| {
            Box::new(Slow {
                inner,
                delay: Duration::ZERO,
                card: Some((card.clone(), alive.upgrade().expect("the test lives"))),
            })
        }
    };
    let loads = Arc::new(AtomicUsize::new(0));
    let served = on_card(tiny(&gpu));
    let mut options = options("127.0.0.1:0", None);
    options.rest = Some(Rest {
        after: Duration::from_secs(3),
        load: {
            let (gpu, loads) = (gpu.clone(), loads.clone());
            Box::new(move || match loads.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => Err(Error::Gpu("another program has the card".into())),
                2 => Ok(on_card(tiny(&gpu))),
                _ => Ok(on_card(tiny_on(&gpu, &EditDevice::Cpu, Precision::Full))),
            })
        },
    });
    let (render, photo, instruction) = (render(&gpu), photo(), instruction());
    let host = Host::start(options, gpu.clone(), served).expect("a free port");
    let mut there = connect(&gpu, &host);
    // Given up at a sentence.
    let mut edit = |given_up_at: &str, waits: &mut Vec<String>| {
        let cancel = Cancel::default();
        let mut watch = Watch {
            cancel: &cancel,
            wants_previews: false,
            on_update: &mut |update| {
                if let EditUpdate::Waiting(why) = update {
                    if why.contains(given_up_at) {
                        cancel.cancel();
                    }
                    waits.push(why);
                }
            },
        };
        there.edit(3, &render, &photo, &instruction, &mut watch)
    };
    let until_it_left = || {
        let began = Instant::now();
        while Arc::strong_count(&alive) > 1 {
            assert!(began.elapsed() < Duration::from_secs(60), "it stays");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let never = "never said";
    let first = edit(never, &mut Vec::new()).expect("an edit");
    assert_eq!(loads.load(Ordering::SeqCst), 0, "it left before its time");
    until_it_left();
    let mut waits = Vec::new();
    let again = edit(never, &mut waits).expect("an edit");
    let told = "cannot edit now (another program has the card)";
    assert!(waits.iter().any(|why| why.contains(told)), "{waits:?}");
    assert_eq!(loads.load(Ordering::SeqCst), 3);
    assert!(bits(&again) == bits(&first), "another picture");
    until_it_left();
    let given_up = edit("not those that this editor began with", &mut Vec::new());
    assert!(matches!(given_up, Err(Error::Cancelled)));
    // By then it has called again, and was not told yet.
    std::thread::sleep(Duration::from_secs(2));
    let given_up = edit("not those that this editor began with", &mut Vec::new());
    assert!(matches!(given_up, Err(Error::Cancelled)));
    assert_eq!(
        loads.load(Ordering::SeqCst),
        4,
        "it is not loaded again for that"
    );
}

/// The tiny editor on a card that other programs have filled since it was there last.
struct Full(Ip2pEditor);

fn full<T>() -> Result<T> {
    Err(Error::Gpu("the card is full".into()))
}

impl ImageEditor for Full {
    fn edit(
        &mut self,
        _: usize,
        _: &GpuImage,
        _: &Photo,
        _: &Instruction,
        _: &mut Watch<'_>,
    ) -> Result<FloatImage> {
        full()
    }
    fn edit_photo(&mut self, _: &Photo, _: &Instruction, _: &mut Watch<'_>) -> Result<Photo> {
        full()
    }
    fn distill(
        &mut self,
        _: usize,
        _: &GpuImage,
        _: &Photo,
        _: &Instruction,
        _: bool,
        _: &mut Watch<'_>,
    ) -> Result<Distilled> {
        full()
    }
    fn model_hash(&self) -> &str {
        self.0.model_hash()
    }
    fn forget_views(&mut self) {}
}

/// It may be free in a moment; what never fits must not be tried for ever.
#[test]
fn an_edit_that_fails_on_a_full_card_waits_once() {
    let Some(gpu) = gpu() else { return };
    let loads = Arc::new(AtomicUsize::new(0));
    let mut options = options("127.0.0.1:0", None);
    options.rest = Some(Rest {
        after: Duration::from_millis(1),
        load: {
            let (gpu, loads) = (gpu.clone(), loads.clone());
            Box::new(move || match loads.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => Ok(Box::new(Full(tiny(&gpu)))),
                _ => Ok(Box::new(tiny(&gpu))),
            })
        },
    });
    let alive = Arc::new(());
    let served = Slow {
        inner: tiny(&gpu),
        delay: Duration::ZERO,
        card: Some((gpu.burn_device().expect("a card"), alive.clone())),
    };
    let (render, photo, instruction) = (render(&gpu), photo(), instruction());
    let host = Host::start(options, gpu.clone(), Box::new(served)).expect("a free port");
    let mut there = connect(&gpu, &host);
    let began = Instant::now();
    while Arc::strong_count(&alive) > 1 {
        assert!(began.elapsed() < Duration::from_secs(60), "it stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut waits = Vec::new();
    let mut edit = || {
        let mut watch = Watch {
            cancel: &Cancel::default(),
            wants_previews: false,
            on_update: &mut |update| {
                if let EditUpdate::Waiting(why) = update {
                    waits.push(why);
                }
            },
        };
        there.edit(3, &render, &photo, &instruction, &mut watch)
    };
    let problem = edit().expect_err("a full card").to_string();
    assert!(
        problem.contains("the remote editor failed: the card is full"),
        "{problem}"
    );
    assert_eq!(loads.load(Ordering::SeqCst), 2);
    edit().expect("an edit on a card with room");
    assert_eq!(loads.load(Ordering::SeqCst), 3);
    let told = "cannot edit now (the card is full)";
    assert!(waits.iter().any(|why| why.contains(told)), "{waits:?}");
}

#[test]
fn a_served_editor_that_left_its_card_holds_nothing_there() {
    let Some(gpu) = gpu() else { return };
    let card = gpu.burn_device().expect("networks run on it");
    let held = || card.memory_pool_usage().expect("a count").bytes_reserved;
    let before = held();
    let served = tiny_on(&gpu, &EditDevice::Gpu(None), Precision::Half);
    let loaded = held();
    assert!(
        loaded > before + (1 << 20),
        "{loaded} bytes, {before} before"
    );
    let mut options = options("127.0.0.1:0", None);
    options.rest = Some(Rest {
        after: Duration::from_millis(200),
        load: Box::new(|| Err(Error::invalid("nobody asks for it"))),
    });
    let _host = Host::start(options, gpu.clone(), Box::new(served)).expect("a free port");
    let began = Instant::now();
    while held() > before {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{} bytes",
            held()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
