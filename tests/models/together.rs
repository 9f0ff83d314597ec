//! Views that are edited together are edited as each would be by itself.

use crate::adapter::gpu;
use crate::common::{device, gradient, tiny};
use burn::tensor::Tensor;
use luxedit::diffusion::{
    EditNoise, EditSettings, EditSolver, Guidance, GuidanceRange, InstructPix2Pix, MemoryLimit,
    Place, Precision, ViewToEdit, image_to_tensor, read,
};
use luxedit::edit::{EditUpdate, ImageEditor, Instruction, Ip2pEditor, Watch};
use luxedit::error::Cancel;
use luxedit::gpu::GpuImage;
use luxedit::scene::{FloatImage, Photo};
use luxedit::settings::{self, EditDevice};

const SIZE: [u32; 2] = [24, 16];

/// Three different pictures.
fn pictures() -> Vec<FloatImage> {
    let base = gradient(SIZE[0], SIZE[1]);
    let turned = |by: f32| {
        let mut picture = base.clone();
        for (i, value) in picture.rgb.iter_mut().enumerate() {
            *value = (*value + by * (i as f32 * 0.7).sin()).clamp(0.0, 1.0);
        }
        picture
    };
    [0.0, 0.2, 0.4].map(turned).to_vec()
}

fn farthest(one: &[f32], other: &[f32]) -> f32 {
    assert_eq!(one.len(), other.len());
    let differences = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn several_views_are_edited_as_each_by_itself() {
    let model = InstructPix2Pix::load(&tiny(), &device(), Precision::Full).expect("a model");
    let embedding = model
        .encode_prompt("turn him into a clown", "")
        .expect("an embedding");
    let shape = model.latent_shape(SIZE[1] as usize, SIZE[0] as usize);
    let part = GuidanceRange {
        low: 0.3,
        high: 0.75,
    };
    for (solver, guidance_range) in [
        (EditSolver::Ddim, GuidanceRange::ALL),
        // Of views that start at different levels, guidance acts on some and not on others.
        (EditSolver::Ddim, part),
        (EditSolver::DpmPlusPlus, part),
    ] {
        let settings = EditSettings {
            guidance: Guidance {
                guidance_scale: 7.5,
                image_guidance_scale: 1.5,
            },
            diffusion_steps: 4,
            solver,
            guidance_range,
        };
        let views = || {
            let pictures = pictures().into_iter().zip([980, 700, 350]).enumerate();
            pictures.map(|(i, (picture, start_timestep))| {
                let render = image_to_tensor(&picture, &device());
                let original = model.original_latents(render.clone());
                ViewToEdit {
                    render,
                    original: original.expect("latents"),
                    start_timestep,
                    noise: EditNoise::seeded(5, i as u64, shape, &device()),
                }
            })
        };
        let cancel = Cancel::default();
        let edit = |views: Vec<ViewToEdit>, steps: &mut Vec<usize>| -> Vec<Vec<f32>> {
            let told = &mut |step: &luxedit::diffusion::EditStep| steps.push(step.done);
            let edited = model.edit_views(views, &embedding, &settings, &cancel, told);
            let values = |x: Tensor<4>| read(x).expect("values");
            edited.expect("edits").into_iter().map(values).collect()
        };
        let mut steps = Vec::new();
        let together = edit(views().collect(), &mut steps);
        assert_eq!(steps, [1, 2, 3, 4], "one pass a step");
        let alone: Vec<_> = views()
            .flat_map(|view| edit(vec![view], &mut Vec::new()))
            .collect();
        assert_eq!(together.len(), 3);
        assert!(farthest(&alone[0], &alone[1]) > 0.05, "edits of their own");
        for (one, other) in together.iter().zip(&alone) {
            let farthest = farthest(one, other);
            assert!(farthest <= 1e-5, "{solver:?}: {farthest}");
        }
    }
    let mut views: Vec<_> = Vec::new();
    for picture in [gradient(24, 16), gradient(16, 16)] {
        let render = image_to_tensor(&picture, &device());
        let [_, _, height, width] = render.dims();
        views.push(ViewToEdit {
            original: model.original_latents(render.clone()).expect("latents"),
            noise: EditNoise::seeded(5, 0, model.latent_shape(height, width), &device()),
            render,
            start_timestep: 500,
        });
    }
    let settings = EditSettings::default();
    let refused = model.edit_views(
        views,
        &embedding,
        &settings,
        &Cancel::default(),
        &mut |_| {},
    );
    let refused = refused.expect_err("two sizes").to_string();
    assert!(
        refused.contains("24×16") && refused.contains("16×16"),
        "{refused}"
    );
}

fn instruction(view: usize) -> Instruction {
    Instruction {
        prompt: "make it snow".into(),
        guidance_scale: 3.0,
        image_guidance_scale: 1.5,
        diffusion_steps: 3,
        solver: EditSolver::Ddim,
        guidance_range: GuidanceRange::ALL,
        edited_side: 0,
        photo_detail: 0.0,
        timestep: 400 + 100 * view as u32,
        seed: 3,
        noise_stream: view as u64,
    }
}

/// The edit of a view, and how many denoising steps it took.
fn edit(editor: &mut Ip2pEditor, view: usize, render: &GpuImage, photo: &Photo) -> (Vec<f32>, u32) {
    let mut steps = 0;
    let mut watch = Watch {
        cancel: &Cancel::default(),
        wants_previews: false,
        on_update: &mut |update| steps += u32::from(matches!(update, EditUpdate::Denoised(_))),
    };
    let edited = editor.edit(view, render, photo, &instruction(view), &mut watch);
    (edited.expect("an edit").rgb, steps)
}

#[test]
fn announced_views_run_with_the_first_and_stale_ones_anew() {
    let Some(gpu) = gpu() else { return };
    let load = |views| {
        let (device, precision) = (EditDevice::Cpu, settings::Precision::Full);
        let editor = Ip2pEditor::load(gpu.clone(), &tiny(), &device, precision, None);
        let mut editor = editor.expect("an editor");
        editor.set_views_at_once(views);
        editor
    };
    let pictures = pictures();
    let photos: Vec<Photo> = pictures.iter().map(FloatImage::to_photo).collect();
    let renders: Vec<GpuImage> = pictures
        .iter()
        .map(|picture| GpuImage::from_float(&gpu, picture))
        .collect();
    let mut alone = load(1);
    assert_eq!(alone.foresight(), 0);
    let expected: Vec<_> = (0..3)
        .map(|i| edit(&mut alone, i, &renders[i], &photos[i]))
        .collect();
    assert!(expected.iter().all(|(_, steps)| *steps == 3));

    let mut editor = load(3);
    assert_eq!(editor.foresight(), 2);
    for (i, instruction) in (0..3).map(instruction).enumerate() {
        assert!(!editor.is_prepared(i, &instruction));
        editor
            .prepare(i, &renders[i], &photos[i], &instruction)
            .expect("a render");
        assert!(editor.is_prepared(i, &instruction));
    }
    for (i, (expected, _)) in expected.iter().enumerate() {
        if i == 2 {
            // Another state of the scene than the announced one.
            let changed = edit(&mut editor, 2, &renders[0], &photos[2]);
            assert_eq!(changed.1, 3, "edited anew");
            assert!(farthest(&changed.0, expected) > 0.01);
            continue;
        }
        let (got, steps) = edit(&mut editor, i, &renders[i], &photos[i]);
        assert_eq!(steps, if i == 0 { 3 } else { 0 }, "view {i}");
        let farthest = farthest(&got, expected);
        assert!(farthest <= 1e-5, "view {i}: {farthest}");
    }
    // Taken once.
    let again = edit(&mut editor, 1, &renders[1], &photos[1]);
    assert_eq!(again.1, 3);
}

#[test]
fn as_many_views_at_once_as_memory_allows() {
    let Some(gpu) = gpu() else { return };
    let device = gpu.burn_device().expect("a device");
    let load = |bytes| {
        let limit = MemoryLimit {
            bytes,
            size: [64, 64],
        };
        InstructPix2Pix::load_within(&tiny(), &device, Precision::Full, Some(limit))
            .expect("a model")
    };
    let roomy = load(4 << 30);
    assert_eq!(roomy.views_at_once(64, 64, 4), 4);
    let one = roomy.memory_need(64, 64, Place::Card(Precision::Full));
    let tight = load(one.total().max(one.weights + one.denoising * 5 / 2));
    let views = tight.views_at_once(64, 64, 4);
    println!("{one}: {views} views");
    assert!((1..4).contains(&views), "{views}");
    assert_eq!(roomy.views_at_once(64, 64, 1), 1);
}
