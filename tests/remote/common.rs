//! A tiny editor, served.

pub use crate::adapter::gpu;
use burn::tensor::Device;
use luxedit::{
    Result,
    edit::{
        Distilled, Host, HostOptions, ImageEditor, Instruction, Ip2pEditor, ModelIdentity, Watch,
    },
    gpu::{Gpu, GpuImage},
    scene::{FloatImage, Photo},
    settings::{EditDevice, EditorAddress, Precision},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

pub const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ip2p_tiny");

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn tiny(gpu: &Arc<Gpu>) -> Ip2pEditor {
    tiny_on(gpu, &EditDevice::Cpu, Precision::Half)
}

pub fn tiny_on(gpu: &Arc<Gpu>, device: &EditDevice, precision: Precision) -> Ip2pEditor {
    Ip2pEditor::load(gpu.clone(), Path::new(MODEL), device, precision, None)
        .expect("the tiny model loads")
}

/// An editor on a machine that is slower: sleeps before each edit. Two processor cores cannot show that two editors are
/// faster than one; waiting can.
pub struct Slow {
    pub inner: Ip2pEditor,
    pub delay: Duration,
    /// The graphics card that it says it is on, and what lives as long as it does.
    pub card: Option<(Device, Arc<()>)>,
}

impl ImageEditor for Slow {
    fn edit(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        watch: &mut Watch<'_>,
    ) -> Result<FloatImage> {
        let began = Instant::now();
        while began.elapsed() < self.delay {
            watch.cancel.check()?;
            std::thread::sleep(Duration::from_millis(2));
        }
        self.inner.edit(view, render, original, instruction, watch)
    }
    fn edit_photo(
        &mut self,
        photo: &Photo,
        instruction: &Instruction,
        watch: &mut Watch<'_>,
    ) -> Result<Photo> {
        self.inner.edit_photo(photo, instruction, watch)
    }
    fn distill(
        &mut self,
        view: usize,
        render: &GpuImage,
        original: &Photo,
        instruction: &Instruction,
        with_estimate: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Distilled> {
        self.inner
            .distill(view, render, original, instruction, with_estimate, watch)
    }
    fn device(&self) -> Option<Device> {
        self.card.as_ref().map(|(card, _)| card.clone())
    }
    fn model_hash(&self) -> &str {
        self.inner.model_hash()
    }
    fn forget_views(&mut self) {
        self.inner.forget_views();
    }
}

pub fn identity() -> ModelIdentity {
    ModelIdentity::of(MODEL, Path::new(MODEL)).expect("the tiny model has configs")
}

pub fn options(listen: &str, token: Option<&str>) -> HostOptions {
    HostOptions {
        listen: listen.into(),
        token: token.map(str::to_owned),
        model: identity(),
        device: "CPU".into(),
        silence: HostOptions::SILENCE,
        rest: None,
    }
}

pub fn host(gpu: &Arc<Gpu>, editor: impl ImageEditor + 'static) -> Host {
    host_at("127.0.0.1:0", gpu, editor)
}

pub fn host_at(listen: &str, gpu: &Arc<Gpu>, editor: impl ImageEditor + 'static) -> Host {
    Host::start(options(listen, None), gpu.clone(), Box::new(editor)).expect("a free port")
}

pub fn addresses(text: &str) -> Vec<EditorAddress> {
    let device = EditDevice::parse(text).expect("a device");
    device.addresses().expect("addresses")
}
