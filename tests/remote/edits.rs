//! One edit, here and there.

use crate::common::{Slow, addresses, gpu, host, identity, options, root, tiny};
use luxedit::{
    Error,
    diffusion::{EditSolver, GuidanceRange},
    edit::{
        EditUpdate, Host, ImageEditor, Instruction, ModelIdentity, RemoteEditor, RemoteOptions,
        Watch,
    },
    error::Cancel,
    formats::picture::read_photo,
    gpu::{Gpu, GpuImage},
    scene::{FloatImage, Photo},
    settings::EditDevice,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub fn photo() -> Photo {
    read_photo(&root().join("assets/tiny/images/view_03.png"), [0.0; 3]).expect("a photo")
}

/// Values that eight bits do not hold, some beyond [0, 1].
pub fn render(gpu: &Arc<Gpu>) -> GpuImage {
    let mut image = photo().to_float();
    for (i, v) in image.rgb.iter_mut().enumerate() {
        *v = *v * 1.07 - 0.03 + 0.001 * (i as f32).sin();
    }
    GpuImage::from_float(gpu, &image)
}

pub fn instruction() -> Instruction {
    Instruction {
        prompt: "make it a bronze bust".into(),
        guidance_scale: 7.1 + f64::EPSILON,
        image_guidance_scale: 1.0 + 1.0 / 3.0,
        diffusion_steps: 4,
        solver: EditSolver::Ddim,
        guidance_range: GuidanceRange::ALL,
        edited_side: 0,
        photo_detail: 0.0,
        timestep: 800,
        seed: u64::MAX - 5,
        noise_stream: 11,
    }
}

pub fn connect(gpu: &Arc<Gpu>, host: &Host) -> RemoteEditor {
    let list = addresses(&format!("ws://{}", host.address()));
    let (editor, warnings) = RemoteEditor::connect(
        gpu.clone(),
        &list,
        &identity(),
        &RemoteOptions::default(),
        &Cancel::default(),
    )
    .expect("the editor is there");
    assert!(warnings.is_empty(), "{warnings:?}");
    editor
}

fn refusal(gpu: &Arc<Gpu>, text: &str, expected: &ModelIdentity) -> String {
    match RemoteEditor::connect(
        gpu.clone(),
        &addresses(text),
        expected,
        &RemoteOptions::default(),
        &Cancel::default(),
    ) {
        Ok(_) => panic!("{text} should be refused"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn a_remote_edit_is_the_local_one_to_the_bit() {
    let Some(gpu) = gpu() else { return };
    let mut here = tiny(&gpu);
    let host = host(&gpu, tiny(&gpu));
    let mut there = connect(&gpu, &host);
    assert_eq!(there.model_hash(), here.model_hash());
    let (render, photo, instruction) = (render(&gpu), photo(), instruction());
    let edit = |editor: &mut dyn ImageEditor| {
        let mut previews = Vec::new();
        let edited = editor
            .edit(
                3,
                &render,
                &photo,
                &instruction,
                &mut Watch {
                    cancel: &Cancel::default(),
                    wants_previews: true,
                    on_update: &mut |update| {
                        if let EditUpdate::Denoised(step) = update {
                            previews.push((step.done, step.steps, step.preview));
                        }
                    },
                },
            )
            .expect("an edit");
        (edited, previews)
    };
    let (local, local_steps) = edit(&mut here);
    let (remote, remote_steps) = edit(&mut there);
    assert!(bits(&local) == bits(&remote), "another picture");
    assert_eq!(local_steps.len(), 4);
    assert!(local_steps == remote_steps, "other previews");
    assert!(local_steps[..3].iter().all(|(_, _, p)| p.is_some()));

    let mut quiet = |_| {};
    let cancel = Cancel::default();
    let mut watch = Watch {
        cancel: &cancel,
        wants_previews: false,
        on_update: &mut quiet,
    };
    let local = here.edit_photo(&photo, &instruction, &mut watch);
    let remote = there.edit_photo(&photo, &instruction, &mut watch);
    assert!(local.expect("an edit") == remote.expect("an edit"));

    let mut gradients = Vec::new();
    for editor in [&mut here as &mut dyn ImageEditor, &mut there] {
        let found = editor
            .distill(3, &render, &photo, &instruction, true, &mut watch)
            .expect("a gradient");
        let values = 3 * photo.width as usize * photo.height as usize;
        let planes: Vec<f32> = gpu
            .read(&found.gradient.planes, values)
            .expect("a read-back");
        let estimate = found.estimate.expect("asked for");
        gradients.push((
            planes.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            found.gradient.loss.to_bits(),
            bits(&estimate),
        ));
    }
    assert!(gradients[0] == gradients[1], "another gradient");
    assert!(gradients[0].0.iter().any(|&v| v != 0));
}

pub fn bits(image: &FloatImage) -> Vec<u32> {
    image.rgb.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn what_was_begun_ahead_for_another_state_of_the_scene_is_not_taken() {
    let Some(gpu) = gpu() else { return };
    let host = host(&gpu, tiny(&gpu));
    let mut there = connect(&gpu, &host);
    let (photo, instruction) = (photo(), instruction());
    let (now, before) = (render(&gpu), GpuImage::from_float(&gpu, &photo.to_float()));
    let edit = |editor: &mut dyn ImageEditor, render: &GpuImage| {
        let mut watch = Watch {
            cancel: &Cancel::default(),
            wants_previews: false,
            on_update: &mut |_| {},
        };
        let edited = editor.edit(3, render, &photo, &instruction, &mut watch);
        bits(&edited.expect("an edit"))
    };
    there
        .prepare(3, &before, &photo, &instruction)
        .expect("it is sent");
    assert!(there.is_prepared(3, &instruction));
    assert!(edit(&mut there, &now) == edit(&mut tiny(&gpu), &now));
    there
        .prepare(3, &before, &photo, &instruction)
        .expect("it is sent");
    assert!(edit(&mut there, &before) == edit(&mut tiny(&gpu), &before));
    assert!(!there.is_prepared(3, &instruction), "it is taken once");
}

#[test]
fn a_cancel_reaches_the_other_end_within_a_step() {
    let Some(gpu) = gpu() else { return };
    let host = host(&gpu, tiny(&gpu));
    let mut there = connect(&gpu, &host);
    let (render, photo) = (render(&gpu), photo());
    let long = Instruction {
        diffusion_steps: 800,
        ..instruction()
    };
    let cancel = Cancel::default();
    let stopped = there.edit(
        3,
        &render,
        &photo,
        &long,
        &mut Watch {
            cancel: &cancel,
            // A step with its preview takes many times as long as a message: 800 are not over before the cancel arrives.
            wants_previews: true,
            on_update: &mut |update| {
                if matches!(update, EditUpdate::Denoised(step) if step.done == 2) {
                    cancel.cancel();
                }
            },
        },
    );
    assert!(matches!(stopped, Err(Error::Cancelled)));
    // The next edit does not wait for the 800 steps of the last.
    let began = Instant::now();
    let mut watch = Watch {
        cancel: &Cancel::default(),
        wants_previews: false,
        on_update: &mut |_| {},
    };
    there
        .edit(3, &render, &photo, &instruction(), &mut watch)
        .expect("an edit");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(host.edits(), 1, "the cancelled edit was not made");
}

#[test]
fn who_may_not_or_cannot_edit_is_told_why() {
    let Some(gpu) = gpu() else { return };
    let locked = Host::start(
        options("127.0.0.1:0", Some("open sesame")),
        gpu.clone(),
        Box::new(tiny(&gpu)),
    )
    .expect("a free port");
    let at = locked.address();
    for (address, says) in [
        (format!("ws://{at}"), "a token is needed"),
        (format!("ws://open@{at}"), "the token is wrong"),
    ] {
        let problem = refusal(&gpu, &address, &identity());
        assert!(problem.contains(says), "{problem}");
        assert!(problem.contains(&at.to_string()), "{problem}");
        assert!(!problem.contains("open@"), "a token is shown: {problem}");
    }
    let known = addresses(&format!("ws://open sesame@{at}"));
    assert!(
        RemoteEditor::connect(
            gpu.clone(),
            &known,
            &identity(),
            &RemoteOptions::default(),
            &Cancel::default()
        )
        .is_ok()
    );

    let open = host(&gpu, tiny(&gpu));
    let address = format!("ws://{}", open.address());
    let other = ModelIdentity {
        name: "timbrooks/instruct-pix2pix".into(),
        config: Some("0123".into()),
    };
    let problem = refusal(&gpu, &address, &other);
    assert!(
        problem.contains("choose the same on both sides"),
        "{problem}"
    );
    let elsewhere = ModelIdentity::named("timbrooks/instruct-pix2pix");
    let problem = refusal(&gpu, &address, &elsewhere);
    assert!(problem.contains("timbrooks/instruct-pix2pix"), "{problem}");

    // Nobody there; and one of two is enough.
    let gone = {
        let host = host(&gpu, tiny(&gpu));
        host.address()
    };
    let problem = refusal(&gpu, &format!("ws://{gone}"), &identity());
    assert!(problem.contains("cannot be reached"), "{problem}");
    assert!(problem.contains("luxedit serve-editor"), "{problem}");
    let both = addresses(&format!("ws://{gone},{address}"));
    let (_editor, warnings) = RemoteEditor::connect(
        gpu.clone(),
        &both,
        &identity(),
        &RemoteOptions::default(),
        &Cancel::default(),
    )
    .expect("one is there");
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains(&gone.to_string()), "{warnings:?}");

    // An editor that fails says what it failed at.
    let mut there = connect(&gpu, &open);
    let wrong = Instruction {
        timestep: 5,
        diffusion_steps: 50,
        ..instruction()
    };
    let failed = there.edit(
        0,
        &render(&gpu),
        &photo(),
        &wrong,
        &mut Watch {
            cancel: &Cancel::default(),
            wants_previews: false,
            on_update: &mut |_| {},
        },
    );
    let problem = failed.expect_err("more steps than T").to_string();
    assert!(
        problem.contains("50 diffusion steps do not fit"),
        "{problem}"
    );
}

#[test]
fn clients_of_one_editor_do_not_mix_their_views() {
    let Some(gpu) = gpu() else { return };
    let host = host(
        &gpu,
        Slow {
            inner: tiny(&gpu),
            delay: Duration::from_millis(30),
            card: None,
        },
    );
    let names = ["view_02.png", "view_09.png", "view_15.png"];
    let photos = names.map(|name| {
        let path = root().join("assets/tiny/images").join(name);
        read_photo(&path, [0.0; 3]).expect("a photo")
    });
    let edit = |editor: &mut dyn ImageEditor, photo: &Photo| {
        let render = GpuImage::from_float(&gpu, &photo.to_float());
        let mut watch = Watch {
            cancel: &Cancel::default(),
            wants_previews: false,
            on_update: &mut |_| {},
        };
        // All of them say view 0.
        let edited = editor.edit(0, &render, photo, &instruction(), &mut watch);
        bits(&edited.expect("an edit"))
    };
    let wanted = photos.each_ref().map(|photo| edit(&mut tiny(&gpu), photo));
    std::thread::scope(|scope| {
        for (photo, wanted) in photos.iter().zip(&wanted) {
            let (gpu, host, edit) = (&gpu, &host, &edit);
            scope.spawn(move || {
                let mut there = connect(gpu, host);
                for _ in 0..3 {
                    assert!(edit(&mut there, photo) == *wanted, "another's original");
                }
            });
        }
    });
}

#[test]
fn devices_are_written_as_people_write_them() {
    for text in [
        "auto",
        "gpu",
        "gpu:1",
        "cpu",
        "ws://10.0.0.2:7860",
        "ws://t@host:1,wss://edit.example.org/a",
    ] {
        let device = EditDevice::parse(text).expect("a device");
        assert_eq!(device.to_string(), text);
        let json = serde_json::to_string(&device).expect("JSON");
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(
            serde_json::from_str::<EditDevice>(&json).expect("JSON"),
            device
        );
    }
    for text in ["", "tpu", "gpu:", "gpu:x", "gpu:-1", "http://host:1"] {
        assert!(EditDevice::parse(text).is_none(), "{text}");
    }
    let list = addresses("ws://secret@[::1]:80/a/b, wss://edit.example.org");
    assert_eq!(list[0].to_string(), "ws://[::1]:80/a/b");
    assert_eq!(list[0].token.as_deref(), Some("secret"));
    assert!(list[0].is_loopback() && !list[1].is_loopback());
    assert_eq!((list[1].port, list[1].is_tls), (443, true));
    for text in [
        "ws://",
        "ws://host",
        "ws://host:x",
        "ws://ho st:1",
        "ws://s3cret@:1",
        "ws://a:1,b",
    ] {
        let device = EditDevice::parse(text).expect("it may be typed");
        let problem = device.addresses().expect_err("no address").to_string();
        assert!(problem.contains("no address of an editor"), "{problem}");
        assert!(!problem.contains("s3cret"), "{problem}");
    }
}
