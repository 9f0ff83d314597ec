//! What the repository carries does what it is carried for: the edit model edits a photo that its training never saw
//! towards the procedural targets of its families, and the demo scene looks like the photos that it was not made from.

use burn::tensor::Device;
use luxedit::diffusion::{
    EditSettings, Guidance, InstructPix2Pix, Precision, SeededNoise, image_to_tensor,
    tensor_to_image,
};
use luxedit::error::Cancel;
use luxedit::metric::psnr;
use luxedit::scene::{FloatImage, Photo};
use std::path::{Path, PathBuf};

/// Family, as it is asked for. The targets lie in `tests/fixtures/bundled`, made by `assets/models/make/fixture.py`.
const ASKED: [(&str, &str); 6] = [
    ("unchanged", "don't change the image"),
    ("marble", "turn him into a marble statue"),
    ("gold", "turn him into a gold statue"),
    ("night", "make it night"),
    ("pencil", "make it a pencil sketch"),
    ("purple", "make him purple"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn picture(path: &Path) -> Photo {
    let rgb = image::open(path).expect("a carried picture").to_rgb8();
    Photo::new(rgb.width(), rgb.height(), rgb.into_raw())
}

fn decibels(a: &FloatImage, b: &FloatImage) -> f64 {
    psnr(a, b).expect("pictures of one size").min(60.0)
}

#[test]
fn the_bundled_model_knows_its_families() {
    let device = Device::flex();
    let folder = root().join("assets/models/luxedit-small");
    let model =
        InstructPix2Pix::load(&folder, &device, Precision::Full).expect("the bundled model");
    let photo = picture(&root().join("assets/demo/images/view_29.jpg"))
        .downscaled(4)
        .to_float();
    let targets = ASKED.map(|(family, _)| {
        picture(&root().join(format!("tests/fixtures/bundled/{family}.png"))).to_float()
    });
    let settings = EditSettings {
        guidance: Guidance {
            guidance_scale: 1.5,
            image_guidance_scale: 1.5,
        },
        diffusion_steps: 6,
        ..Default::default()
    };
    let mut gains = Vec::new();
    for (i, (family, prompt)) in ASKED.iter().enumerate() {
        let embedding = model.encode_prompt(prompt, "").expect("an embedding");
        let edited = model
            .edit_image(
                image_to_tensor(&photo, &device),
                &embedding,
                &settings,
                &model.scheduler,
                &mut SeededNoise::new(0),
                &Cancel::default(),
                &mut |_| {},
            )
            .and_then(tensor_to_image)
            .expect("an edit");
        let near = targets.each_ref().map(|t| decibels(&edited, t));
        let nearest = (0..near.len())
            .max_by(|&a, &b| near[a].total_cmp(&near[b]))
            .expect("six of them");
        assert_eq!(ASKED[nearest].0, *family, "\"{prompt}\": {near:.1?} dB");
        if i > 0 {
            gains.push(near[i] - decibels(&photo, &targets[i]));
        }
    }
    let mean = gains.iter().sum::<f64>() / gains.len() as f64;
    assert!(
        mean > 5.0,
        "nearer to the targets than the photo by {gains:.1?} dB"
    );
}

#[test]
fn the_demo_scene_looks_like_the_photos_that_it_was_not_made_from() {
    if let Err(e) = luxedit::gpu::Gpu::headless() {
        println!("skipped: no graphics adapter: {e}");
        return;
    }
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_luxedit"))
        .args("eval assets/demo/scene.sog assets/demo --downscale 2 --json".split(' '))
        .current_dir(root())
        .output()
        .expect("the binary starts");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
    let psnr = report["metrics"]["psnr"].as_f64().expect("a PSNR");
    assert!(psnr > 29.9, "held-out PSNR {psnr:.2} dB");
    let bytes = std::fs::metadata(root().join("assets/demo/scene.sog"))
        .expect("the scene")
        .len();
    assert!(bytes < 4 << 20, "{bytes} bytes");
}
