//! Reference files: tensors with their tolerances, as `manifest.json` states them.

use safetensors::{Dtype, SafeTensors};
use std::path::PathBuf;

/// The folder of references.
pub fn folder() -> PathBuf {
    std::env::var_os("LUXEDIT_REFERENCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"),
        PathBuf::from,
    )
}

/// A file below [`folder`], or `None` with a line that says the check was skipped.
pub fn path_or_skip(relative: &str) -> Option<PathBuf> {
    let path = folder().join(relative);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: {} does not exist", path.display());
    None
}

/// One file of tensors and what the manifest says of it.
pub struct Fixture {
    pub name: String,
    /// The manifest's `params` of this file.
    pub params: serde_json::Value,
    entries: serde_json::Value,
    bytes: Vec<u8>,
}

/// A tensor, widened to f32 (integers included: all are small).
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Fixture {
    /// `None`, said aloud, when the file is absent.
    pub fn open(relative: &str) -> Option<Self> {
        let path = path_or_skip(relative)?;
        let manifest = std::fs::read(folder().join("manifest.json")).expect("manifest.json");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("manifest.json");
        let entry = &manifest["files"][relative];
        assert!(entry.is_object(), "{relative} is not in manifest.json");
        Some(Self {
            name: relative.to_owned(),
            params: entry["params"].clone(),
            entries: entry["tensors"].clone(),
            bytes: std::fs::read(path).expect("readable fixture"),
        })
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("a safetensors file")
    }

    pub fn names(&self) -> Vec<String> {
        self.file().names().iter().map(|s| s.to_string()).collect()
    }

    pub fn has(&self, tensor: &str) -> bool {
        self.file().tensor(tensor).is_ok()
    }

    pub fn get(&self, tensor: &str) -> Array {
        let file = self.file();
        let view = file
            .tensor(tensor)
            .unwrap_or_else(|e| panic!("{}: {tensor}: {e}", self.name));
        let bytes = view.data();
        let data = match view.dtype() {
            Dtype::F32 => read(bytes, f32::from_le_bytes),
            Dtype::F64 => read(bytes, |b| f64::from_le_bytes(b) as f32),
            Dtype::F16 => read(bytes, |b| half::f16::from_le_bytes(b).to_f32()),
            Dtype::I64 => read(bytes, |b| i64::from_le_bytes(b) as f32),
            Dtype::I32 => read(bytes, |b| i32::from_le_bytes(b) as f32),
            Dtype::U8 | Dtype::BOOL => bytes.iter().map(|&b| f32::from(b)).collect(),
            other => panic!("{}: {tensor}: dtype {other:?}", self.name),
        };
        Array {
            shape: view.shape().to_vec(),
            data,
        }
    }

    fn tolerance(&self, tensor: &str, key: &str) -> Option<f64> {
        self.entries[tensor][key].as_f64()
    }

    /// Assert the manifest's tolerance for `tensor`: relative L2 where it gives one, else element by element.
    pub fn check(&self, tensor: &str, got: &[f32]) {
        let expected = self.get(tensor);
        assert_eq!(
            got.len(),
            expected.data.len(),
            "{} {tensor}: shape {:?}",
            self.name,
            expected.shape
        );
        if let Some(limit) = self.tolerance(tensor, "rel_l2") {
            let (mut difference, mut norm) = (0.0f64, 0.0f64);
            for (g, e) in got.iter().zip(&expected.data) {
                difference += f64::from(g - e).powi(2);
                norm += f64::from(*e).powi(2);
            }
            let (difference, norm) = (difference.sqrt(), norm.sqrt());
            println!(
                "{} {tensor}: relative L2 {:.2e} (limit {limit:.0e})",
                self.name,
                difference / norm.max(1e-30)
            );
            assert!(
                difference.is_finite() && difference <= limit * norm,
                "{} {tensor}: relative L2 {:.3e} > {limit:.1e}",
                self.name,
                difference / norm
            );
            return;
        }
        let atol = self.tolerance(tensor, "atol").unwrap_or(0.0);
        let rtol = self.tolerance(tensor, "rtol").unwrap_or(0.0);
        self.check_where(tensor, got, |_| Some((atol, rtol)));
    }

    /// Element by element, with the tolerance `(atol, rtol)` that `limits` gives for element `i`; `None` skips it.
    pub fn check_where(
        &self,
        tensor: &str,
        got: &[f32],
        limits: impl Fn(usize) -> Option<(f64, f64)>,
    ) {
        let expected = self.get(tensor);
        assert_eq!(
            got.len(),
            expected.data.len(),
            "{} {tensor}: shape {:?}",
            self.name,
            expected.shape
        );
        let mut worst = (0.0f64, 0usize);
        for (i, (&g, &e)) in got.iter().zip(&expected.data).enumerate() {
            let Some((atol, rtol)) = limits(i) else {
                continue;
            };
            assert!(g.is_finite(), "{} {tensor}[{i}] is {g}", self.name);
            let difference = f64::from((g - e).abs());
            let limit = atol + rtol * f64::from(e.abs());
            assert!(
                difference <= limit,
                "{} {tensor}[{i}]: got {g}, expected {e}, |difference| {difference:.3e} > {limit:.3e}",
                self.name
            );
            if difference > worst.0 {
                worst = (difference, i);
            }
        }
        println!(
            "{} {tensor}: worst |difference| {:.2e} at {}",
            self.name, worst.0, worst.1
        );
    }

    /// The manifest's element tolerance of `tensor`.
    pub fn tolerances(&self, tensor: &str) -> (f64, f64) {
        (
            self.tolerance(tensor, "atol").unwrap_or(0.0),
            self.tolerance(tensor, "rtol").unwrap_or(0.0),
        )
    }
}

fn read<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|b| convert(*b))
        .collect()
}
