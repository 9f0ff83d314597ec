//! Classifiers whose weights are generated from a formula, exact in f32: what LPIPS is tested with.

use luxedit::loss::lpips::LpipsNet;
use safetensors::tensor::{Dtype, TensorView};
use std::path::{Path, PathBuf};

/// Element `index` of the tensor with `seed`, as `formula.json` says.
fn formula(seed: u64, index: u64, log2_scale: i32) -> f32 {
    let mut z = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add((index + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    let q = (z >> 53) as f32;
    (2.0 * q - 2047.0) / 2048.0 * f32::powi(2.0, log2_scale)
}

/// Write a classifier's file as torchvision names it, its unused part included.
pub fn write_backbone(net: LpipsNet, to: &Path) -> bool {
    let listing =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lpips/formula.json");
    let Ok(listing) = std::fs::read(&listing) else {
        println!("SKIPPED: {} does not exist", listing.display());
        return false;
    };
    let listing: serde_json::Value = serde_json::from_slice(&listing).expect("JSON");
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for entry in listing["nets"][net.as_str()].as_array().expect("a list") {
        let shape: Vec<usize> = entry["shape"]
            .as_array()
            .expect("a shape")
            .iter()
            .map(|n| n.as_u64().expect("a size") as usize)
            .collect();
        let count: usize = shape.iter().product();
        let seed = entry["seed"].as_u64().expect("a seed");
        let scale = entry["log2_scale"].as_i64().expect("a scale") as i32;
        let data: Vec<f32> = (0..count as u64).map(|i| formula(seed, i, scale)).collect();
        for (i, first) in entry["first3"]
            .as_array()
            .expect("values")
            .iter()
            .enumerate()
        {
            assert_eq!(f64::from(data[i]), first.as_f64().expect("a value"));
        }
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        tensors.push((entry["name"].as_str().expect("a name").into(), shape, bytes));
    }
    for name in net.unused() {
        for (part, shape) in [("weight", vec![2, 2]), ("bias", vec![2])] {
            let bytes = vec![0; 4 * shape.iter().product::<usize>()];
            tensors.push((format!("{name}.{part}"), shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor");
        (name.clone(), view)
    });
    safetensors::serialize_to_file(views, None, to).expect("written weights");
    true
}
