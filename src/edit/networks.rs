//! Where an edit's networks run, how pictures get there and gradients back, and how networks leave a card again, which other
//! programs need while nobody edits. On the shared device nothing leaves the graphics card; on the CPU backend a render is
//! read back and a gradient uploaded.

use crate::{
    Error, Result,
    diffusion::{image_to_tensor, read},
    gpu::{Gpu, GpuImage, ImageToTensor, tensor_to_storage},
    loss::{
        ImageGradient,
        lpips::{Epsilon, Found, Lpips, LpipsNet, find_backbone},
    },
    luxen::Patches,
    scene::{FloatImage, Photo},
    settings::{EditDevice, LpipsClassifier, Settings},
};
use burn::tensor::{Device, Tensor};
use crossbeam_channel::bounded;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The device that a setting asks for, and its name for the person. On software adapters `auto` is the CPU: networks run
/// many times slower through a software driver.
///
/// # Errors
/// [`Error::Gpu`] when the networks cannot use the graphics device.
pub fn choose_device(setting: &EditDevice, gpu: &Gpu) -> Result<(Device, String)> {
    Place::of(setting, gpu)?.device(gpu)
}

/// Whether that setting means the processor.
pub fn runs_on_processor(setting: &EditDevice, gpu: &Gpu) -> bool {
    match setting {
        EditDevice::Cpu => true,
        EditDevice::Gpu(_) => false,
        EditDevice::Auto | EditDevice::Remote(_) => gpu.is_software(),
    }
}

/// The processor, and its name for the person.
pub fn cpu_device() -> (Device, String) {
    (Device::flex(), "CPU".into())
}

/// An edit model that lies on a graphics card leaves it to other programs after so long without a command, a served one
/// without an edit; the next edit loads it again.
pub const IDLE: Duration = Duration::from_secs(300);

/// How long a card is waited for that networks leave.
const LEAVING: Duration = Duration::from_secs(10);

/// Drop networks, and leave what they held on their card to other programs. On a thread of its own: a card that is lost may
/// never answer.
pub fn leave_card(networks: impl Send + 'static, card: Option<Device>) {
    // Operations that wait in this thread's queue keep what they refer to.
    let flushed = Error::contained(|| match &card {
        Some(card) => card.flush().map_err(|e| Error::Gpu(format!("{e:?}"))),
        None => Ok(()),
    });
    if let Err(e) = flushed {
        log::warn!("a card that networks leave refuses their last operations: {e}");
    }
    let (done, left) = bounded(1);
    let leaving = std::thread::Builder::new()
        .name("luxedit leaving".into())
        .spawn(move || {
            drop(networks);
            let answered = card.is_none_or(|card| {
                // What was dropped is free once the device has come to it.
                let synced = card.sync();
                card.memory_cleanup();
                synced.is_ok()
            });
            // Nobody listens who has waited long enough.
            done.send(answered).ok();
        });
    if leaving.is_err() || left.recv_timeout(LEAVING) != Ok(true) {
        log::warn!("a card that networks have left does not answer");
        reopen_other_cards();
    }
}

enum Place {
    /// The device of the window and the kernels.
    Shared,
    /// Another graphics card.
    Other(Arc<Gpu>),
    Cpu,
}

impl Place {
    /// Networks that no remote editor runs (losses, measures) are where `auto` has them.
    fn of(setting: &EditDevice, gpu: &Gpu) -> Result<Self> {
        match setting {
            EditDevice::Gpu(None) => Ok(Self::Shared),
            EditDevice::Gpu(Some(number)) => {
                let (instance, adapter) = Gpu::numbered(*number)?;
                if adapter.get_info() == gpu.info {
                    return Ok(Self::Shared);
                }
                other_card(*number, instance, adapter).map(Self::Other)
            }
            EditDevice::Cpu | EditDevice::Auto | EditDevice::Remote(_) => {
                Ok(match runs_on_processor(setting, gpu) {
                    true => Self::Cpu,
                    false => Self::Shared,
                })
            }
        }
    }

    fn device(&self, shared: &Gpu) -> Result<(Device, String)> {
        match self {
            Self::Shared => Ok((shared.burn_device()?, shared.info.name.clone())),
            Self::Other(other) => Ok((other.burn_device()?, other.info.name.clone())),
            Self::Cpu => Ok(cpu_device()),
        }
    }
}

/// Cards beside the shared one, by number. burn keeps every device that it was given, so each is opened once.
static OTHERS: Mutex<BTreeMap<u32, Arc<Gpu>>> = Mutex::new(BTreeMap::new());

fn other_card(number: u32, instance: wgpu::Instance, adapter: wgpu::Adapter) -> Result<Arc<Gpu>> {
    let mut others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let is_same = |other: &&Arc<Gpu>| other.info == adapter.get_info();
    if let Some(known) = others.get(&number).filter(is_same) {
        return Ok(known.clone());
    }
    let opened = Gpu::open(instance, adapter)?;
    others.insert(number, opened.clone());
    Ok(opened)
}

/// After a failure: burn listens for the loss of devices in luxedit's stead, so that none can be asked whether it is still
/// there.
pub fn reopen_other_cards() {
    OTHERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}

/// A device for networks, with the ways in and out.
pub(super) struct NetworkDevice {
    gpu: Arc<Gpu>,
    pub device: Device,
    /// For the person.
    pub name: String,
    /// Present on the shared device.
    to_tensor: Option<ImageToTensor>,
}

impl NetworkDevice {
    /// # Errors
    /// See [`choose_device`].
    pub fn new(setting: &EditDevice, gpu: Arc<Gpu>) -> Result<Self> {
        let place = Place::of(setting, &gpu)?;
        let (device, name) = place.device(&gpu)?;
        let to_tensor = matches!(place, Place::Shared).then(|| ImageToTensor::new(&gpu));
        Ok(Self {
            gpu,
            device,
            name,
            to_tensor,
        })
    }

    /// `[1, 3, height, width]`, clamped to [0, 1].
    ///
    /// # Errors
    /// [`Error::Gpu`] when a device fails.
    pub fn picture(&self, image: &GpuImage) -> Result<Tensor<4>> {
        match &self.to_tensor {
            Some(convert) => convert.convert(&self.gpu, image, &self.device),
            None => Ok(image_to_tensor(&image.read(&self.gpu)?, &self.device).clamp(0.0, 1.0)),
        }
    }

    /// A gradient `[1, 3, height, width]` where the trainer can add it.
    ///
    /// # Errors
    /// [`Error::Gpu`] when a device fails.
    pub fn gradient(
        &self,
        d_picture: Tensor<4>,
        loss: Tensor<1>,
        photo_weight: f32,
    ) -> Result<ImageGradient> {
        let [_, _, height, width] = d_picture.dims();
        let loss = read(loss)?
            .first()
            .copied()
            .ok_or_else(|| Error::Gpu("a network gave no loss".into()))?;
        let planes = if self.to_tensor.is_some() {
            tensor_to_storage(&self.gpu, d_picture)?
        } else {
            self.gpu.storage_from("network gradient", &read(d_picture)?)
        };
        Ok(ImageGradient {
            width: width as u32,
            height: height as u32,
            planes,
            loss,
            photo_weight,
        })
    }
}

/// LPIPS between a render and the picture that it should become, as a loss.
pub struct PerceptualLoss {
    networks: NetworkDevice,
    lpips: Lpips,
}

/// What a search for LPIPS weights came to.
pub enum PerceptualSearch {
    Loaded(Box<PerceptualLoss>),
    /// Why not, in words.
    Without(String),
}

impl PerceptualLoss {
    /// LPIPS with the classifier that the settings name, if its weights are found and can be read.
    ///
    /// # Errors
    /// [`Error::Gpu`] when the device fails.
    pub fn find(gpu: Arc<Gpu>, settings: &Settings) -> Result<PerceptualSearch> {
        let net = match settings.lpips_classifier {
            LpipsClassifier::Alex => LpipsNet::Alex,
            LpipsClassifier::Vgg => LpipsNet::Vgg,
            LpipsClassifier::Squeeze => LpipsNet::Squeeze,
        };
        let file = match find_backbone(net, &settings.lpips_weights) {
            Found::File(file) => file,
            Found::Nothing(why) => return Ok(PerceptualSearch::Without(why)),
        };
        let networks = NetworkDevice::new(&settings.edit_device, gpu)?;
        match Lpips::load(net, &file, &networks.device) {
            Ok(lpips) => Ok(PerceptualSearch::Loaded(Box::new(Self { networks, lpips }))),
            Err(e @ (Error::File { .. } | Error::Io { .. })) => {
                Ok(PerceptualSearch::Without(e.to_string()))
            }
            Err(e) => Err(e),
        }
    }

    /// Distance of two pictures, as papers report it (the lpips package's epsilon).
    ///
    /// # Errors
    /// As [`Self::gradient`].
    pub fn distance(&self, a: &FloatImage, b: &FloatImage) -> Result<f64> {
        let [a, b] = [a, b].map(|image| image_to_tensor(image, &self.networks.device) * 2.0 - 1.0);
        let distance = read(self.lpips.distance(a, b, Epsilon::Outside)?)?;
        Ok(distance.first().copied().map_or(f64::NAN, f64::from))
    }

    /// Beside the photo loss, with weight 1 each. `mask` blanks pixels of both pictures: one byte a pixel, 0 = ignore.
    /// Rendered values beyond [0, 1] count as its ends.
    ///
    /// # Errors
    /// [`Error::Invalid`] when sizes differ or are too small for LPIPS; [`Error::Gpu`] when a device fails.
    pub fn gradient(
        &self,
        render: &GpuImage,
        target: &Photo,
        mask: Option<&[u8]>,
    ) -> Result<ImageGradient> {
        let device = &self.networks.device;
        let mut render = self.networks.picture(render)?;
        let mut target = image_to_tensor(&target.to_float(), device);
        if let Some(mask) = mask {
            let [_, _, h, w] = target.dims();
            let weights: Vec<f32> = mask.iter().map(|&m| f32::from(m) / 255.0).collect();
            let data = burn::tensor::TensorData::new(weights, [1, 1, h, w]);
            let weights = Tensor::<4>::from_data(data, device);
            render = render * weights.clone();
            target = target * weights;
        }
        let (distance, d_render) = self.lpips.distance_and_gradient(
            render * 2.0 - 1.0,
            target * 2.0 - 1.0,
            Epsilon::Inside,
        )?;
        self.networks.gradient(d_render * 2.0, distance, 1.0)
    }

    /// The mean over patches, beside the photo loss with weight 1 each.
    ///
    /// # Errors
    /// As [`Self::gradient`].
    pub fn patch_gradient(&self, patches: &Patches) -> Result<ImageGradient> {
        let side = patches.side as usize;
        let count = patches.render.pixels() / (side * side);
        let batch = |column: &GpuImage| -> Result<Tensor<4>> {
            let column = self.networks.picture(column)?;
            Ok(column.reshape([3, count, side, side]).swap_dims(0, 1) * 2.0 - 1.0)
        };
        let (distances, d_render) = self.lpips.distance_and_gradient(
            batch(&patches.render)?,
            batch(&patches.target)?,
            Epsilon::Inside,
        )?;
        let d_column =
            (d_render * (2.0 / count as f64))
                .swap_dims(0, 1)
                .reshape([1, 3, count * side, side]);
        self.networks.gradient(d_column, distances.mean(), 1.0)
    }
}
