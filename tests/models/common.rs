//! A copy of a tiny model to change.

use burn::tensor::Device;
use luxedit::diffusion::{InstructPix2Pix, Precision};
use luxedit::scene::FloatImage;
use luxedit::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

pub const VAE: &str = "vae/diffusion_pytorch_model.safetensors";

pub const TEXT: &str = "text_encoder/model.safetensors";

pub fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ip2p_tiny")
}

pub fn device() -> Device {
    Device::flex()
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the tiny model") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            // Written anew: the original may be read-only.
            std::fs::write(&target, std::fs::read(entry.path()).expect("a file")).expect("a copy");
        }
    }
}

/// A copy of the tiny model to damage.
pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        copy_folder(&tiny(), folder.path());
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn load(&self) -> Result<InstructPix2Pix> {
        InstructPix2Pix::load(self.0.path(), &device(), Precision::Full)
    }

    /// The message of the error that loading gives, which must name all of `named`.
    pub fn refused(&self, named: &[&str]) -> String {
        let error = match self.load() {
            Ok(_) => panic!("the damaged model was loaded"),
            Err(error) => error,
        };
        assert!(
            matches!(error, Error::File { .. } | Error::Io { .. }),
            "{error:?}"
        );
        let message = error.to_string();
        println!("{message}");
        for name in named {
            assert!(
                message.contains(name),
                "`{name}` is not named in: {message}"
            );
        }
        message
    }

    pub fn json(
        &self,
        name: &str,
        change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
    ) {
        let path = self.path(name);
        let mut value: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a config")).expect("JSON");
        change(value.as_object_mut().expect("an object"));
        std::fs::write(path, value.to_string()).expect("a written config");
    }

    pub fn tensors(&self, name: &str, change: impl FnOnce(&mut BTreeMap<String, Stored>)) {
        let path = self.path(name);
        let bytes = std::fs::read(&path).expect("weights");
        let mut tensors: BTreeMap<String, Stored> = SafeTensors::deserialize(&bytes)
            .expect("weights")
            .tensors()
            .into_iter()
            .map(|(name, view)| {
                let stored = Stored {
                    dtype: view.dtype(),
                    shape: view.shape().to_vec(),
                    bytes: view.data().to_vec(),
                };
                (name, stored)
            })
            .collect();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, stored)| {
            let view = TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes);
            (name.clone(), view.expect("a tensor"))
        });
        safetensors::serialize_to_file(views, None, &path).expect("written weights");
    }
}

pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

pub fn gradient(width: u32, height: u32) -> FloatImage {
    let rgb = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [x as f32 / width as f32, y as f32 / height as f32, 0.5])
        .collect();
    FloatImage::new(width, height, rgb)
}
