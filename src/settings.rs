//! The one table of settings. A row here is a field of [`Settings`], a flag of the command line, a control in the panels,
//! a key of the saved project and a line of the documentation; nothing else names a default or a range. Adding a row
//! changes all of them at once.

mod device;

pub use device::{EditDevice, EditorAddress};

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Jobs of the command line and the window that read a setting.
pub mod jobs {
    pub const RECONSTRUCT: u16 = 1;
    pub const EDIT: u16 = 2;
    pub const EDIT_IMAGE: u16 = 4;
    pub const RENDER: u16 = 8;
    pub const EVAL: u16 = 16;
    /// `model check`.
    pub const CHECK: u16 = 32;
    pub const VIEWS: u16 = 64;
    /// `serve-editor`.
    pub const SERVE: u16 = 128;
    pub const CONVERT: u16 = 256;
    pub const POSES: u16 = 512;
}
use jobs::*;

/// How prominently the panels show a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Always visible.
    Basic,
    /// Behind "Advanced".
    Advanced,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Int {
        min: u64,
        max: u64,
    },
    Float {
        min: f64,
        max: f64,
    },
    Choice(&'static [&'static str]),
    Text,
    /// See [`EditDevice::EXPECTS`].
    Device,
}

/// A setting's value, untyped, for flags, panels and files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Int(u64),
    Float(f64),
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "{v}"),
            Self::Text(v) => f.write_str(v),
        }
    }
}

/// One row of the table.
pub struct Setting {
    /// Field of [`Settings`] and key in the project file.
    pub key: &'static str,
    /// Flag without dashes. Two settings may share one where no job reads both.
    pub flag: &'static str,
    /// Text beside the control.
    pub label: &'static str,
    pub kind: Kind,
    /// Empty when the value is a plain number.
    pub unit: &'static str,
    pub tier: Tier,
    /// Which [`jobs`] read it.
    pub jobs: u16,
    pub help: &'static str,
    pub get: fn(&Settings) -> Value,
    set: fn(&mut Settings, Value),
}

impl Setting {
    /// # Errors
    /// [`Error::Invalid`] with the range or the choices when `value` does not fit.
    pub fn set(&self, settings: &mut Settings, value: Value) -> Result<()> {
        let value = match (self.kind, value) {
            (Kind::Float { .. }, Value::Int(v)) => Value::Float(v as f64),
            (_, v) => v,
        };
        let fits = match (self.kind, &value) {
            (Kind::Int { min, max }, Value::Int(v)) => (min..=max).contains(v),
            (Kind::Float { min, max }, Value::Float(v)) => (min..=max).contains(v),
            (Kind::Choice(choices), Value::Text(v)) => choices.contains(&v.as_str()),
            (Kind::Text, Value::Text(_)) => true,
            (Kind::Device, Value::Text(v)) => EditDevice::parse(v).is_some(),
            _ => false,
        };
        if !fits {
            return Err(Error::Invalid(format!(
                "--{} takes {}, not {value}",
                self.flag,
                self.expects()
            )));
        }
        let presets = (settings.method, settings.speed);
        (self.set)(settings, value);
        if settings.method != presets.0 {
            settings.adopt_method();
        }
        if settings.speed != presets.1 {
            settings.adopt_speed();
        }
        Ok(())
    }

    /// The value that `text` stands for.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the range or the choices when it is no number.
    pub fn value_of(&self, text: &str) -> Result<Value> {
        let value = match self.kind {
            Kind::Int { .. } => text.parse().map(Value::Int).ok(),
            Kind::Float { .. } => text.parse().map(Value::Float).ok(),
            Kind::Choice(_) | Kind::Text | Kind::Device => Some(Value::Text(text.to_owned())),
        };
        value.ok_or_else(|| {
            Error::Invalid(format!(
                "--{} takes {}, not \"{text}\"",
                self.flag,
                self.expects()
            ))
        })
    }

    /// The flag in a job's own command: the steps of a reconstruction are plain `--steps` there.
    pub fn flag_in(&self, job: u16) -> &'static str {
        if job == RECONSTRUCT && self.key == "reconstruct_steps" {
            "steps"
        } else {
            self.flag
        }
    }

    /// Least and largest value of a number.
    pub fn range(&self) -> (f64, f64) {
        match self.kind {
            Kind::Int { min, max } => (min as f64, max as f64),
            Kind::Float { min, max } => (min, max),
            Kind::Choice(_) | Kind::Text | Kind::Device => (f64::MIN, f64::MAX),
        }
    }

    /// The range or the choices, in words.
    pub fn expects(&self) -> String {
        match self.kind {
            Kind::Int { min, max } if max == u64::MAX => format!("a whole number from {min}"),
            Kind::Int { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Float { min, max } => format!("a number from {min} to {max}"),
            Kind::Choice(choices) => format!("one of {}", choices.join(", ")),
            Kind::Text => "text".into(),
            Kind::Device => EditDevice::EXPECTS.into(),
        }
    }

    /// The default under the presets (method, speed) that `settings` name; of a preset itself, the first.
    pub fn default_in(&self, settings: &Settings) -> Value {
        match self.key {
            "method" | "speed" => (self.get)(&Settings::default()),
            _ => (self.get)(&Settings::of(settings.method, settings.speed)),
        }
    }

    /// Whether the value differs from [`Self::default_in`].
    pub fn is_changed(&self, settings: &Settings) -> bool {
        (self.get)(settings) != self.default_in(settings)
    }
}

trait Field: Sized {
    fn to_value(&self) -> Value;
    fn from_value(value: Value, old: Self) -> Self;
}
impl Field for u32 {
    fn to_value(&self) -> Value {
        Value::Int(u64::from(*self))
    }
    fn from_value(value: Value, old: Self) -> Self {
        match value {
            Value::Int(v) => u32::try_from(v).unwrap_or(old),
            _ => old,
        }
    }
}
impl Field for u64 {
    fn to_value(&self) -> Value {
        Value::Int(*self)
    }
    fn from_value(value: Value, old: Self) -> Self {
        match value {
            Value::Int(v) => v,
            _ => old,
        }
    }
}
impl Field for f64 {
    fn to_value(&self) -> Value {
        Value::Float(*self)
    }
    fn from_value(value: Value, old: Self) -> Self {
        match value {
            Value::Float(v) => v,
            _ => old,
        }
    }
}
impl Field for String {
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
    fn from_value(value: Value, old: Self) -> Self {
        match value {
            Value::Text(v) => v,
            _ => old,
        }
    }
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $(#[serde(rename = $text)] $variant),+ }
        impl $name {
            pub const CHOICES: &'static [&'static str] = &[$($text),+];
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl Field for $name {
            fn to_value(&self) -> Value { Value::Text(self.as_str().to_owned()) }
            fn from_value(value: Value, old: Self) -> Self {
                match value {
                    $(Value::Text(v) if v == $text => Self::$variant,)+
                    _ => old,
                }
            }
        }
    };
}

choice! {
    /// A published recipe: which views are edited when, towards what the scene is moved, and the numbers that go with it.
    Method { Igs2gs = "igs2gs", In2n = "in2n", In2nSmall = "in2n-small", In2nTiny = "in2n-tiny", Sds = "sds" }
}
choice! {
    /// Denoising as published, or in about half the time for nearly the same picture.
    Speed { Published = "published", Fast = "fast" }
}
choice! {
    /// Solver of the denoising steps.
    Scheduler { Ddim = "ddim", DpmPlusPlus = "dpm++" }
}
choice! {
    /// What a step of an edit minimizes.
    Loss { Auto = "auto", L1Lpips = "l1-lpips", L1Ssim = "l1-ssim", L1 = "l1" }
}
choice! {
    /// Whose features LPIPS compares.
    LpipsClassifier { Alex = "alex", Vgg = "vgg", Squeeze = "squeeze" }
}
choice! {
    /// Whether a sweep edits one view each optimizer step, or all views before the next step.
    Sweep { Interleaved = "interleaved", Frozen = "frozen" }
}
choice! {
    /// What a scene is made of.
    SceneKind { Splat = "splat", Luxen = "luxen" }
}
impl Default for SceneKind {
    /// Projects that do not say hold splats.
    fn default() -> Self {
        Self::Splat
    }
}
choice! {
    /// Widths of a Luxen's networks and what goes with them.
    LuxenSize { Auto = "auto", Small = "small", Full = "full" }
}
choice! {
    /// Whether each photo of a Luxen has an exposure of its own.
    Appearance { Auto = "auto", On = "on", Off = "off" }
}
choice! {
    /// Which axis of a splat file points up.
    UpAxis { PlusZ = "z", MinusZ = "-z", PlusY = "y", MinusY = "-y", PlusX = "x", MinusX = "-x" }
}
choice! {
    /// What an edit model is read from and kept in, and what a Luxen's hash tables are read in.
    Precision { Full = "full", Half = "half" }
}
choice! {
    /// How the set of splats changes during a reconstruction.
    Strategy { Default = "default", Mcmc = "mcmc", None = "none" }
}
choice! {
    /// Whether splats are drawn fainter by as much as the blur of the screen widens them.
    Antialias { Auto = "auto", On = "on", Off = "off" }
}
choice! {
    /// Whether a reconstruction moves the photos' cameras a little, to where they fit best.
    PoseRefinement { Off = "off", On = "on" }
}
choice! {
    /// Which photos are compared with which, to find where they were taken.
    Matching { Auto = "auto", Exhaustive = "exhaustive", Sequential = "sequential" }
}
choice! {
    /// How the pixels' gradients of a splat's place in the picture add up: with their signs, or without them in each
    /// axis, so that pulls to opposite sides do not cancel (AbsGS, Ye et al. 2024).
    GradientSum { Signed = "signed", Absolute = "absolute" }
}

macro_rules! settings {
    ($($key:ident: $type:ty = $default:expr, $flag:literal, $label:literal, $kind:expr, $unit:literal, $tier:ident, $jobs:expr, $help:literal;)+) => {
        /// Every setting, typed. Saved with the project and with each snapshot.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Settings {
            $(#[doc = $help] pub $key: $type,)+
        }
        impl Default for Settings {
            fn default() -> Self {
                Self { $($key: $default.into(),)+ }
            }
        }
        /// The table, in the order of the panels.
        pub static SETTINGS: &[Setting] = &[
            $(Setting {
                key: stringify!($key),
                flag: $flag,
                label: $label,
                kind: $kind,
                unit: $unit,
                tier: Tier::$tier,
                jobs: $jobs,
                help: $help,
                get: |s| s.$key.to_value(),
                set: |s, v| s.$key = <$type>::from_value(v, s.$key.clone()),
            },)+
        ];
    };
}

settings! {
    prompt: String = "", "prompt", "Instruction", Kind::Text, "", Basic, EDIT | EDIT_IMAGE,
        "What to turn the scene into, as an instruction: \"make him a marble statue\".";
    method: Method = Method::Igs2gs, "method", "Method", Kind::Choice(Method::CHOICES), "", Advanced, EDIT,
        "Recipe; sets the defaults of the others. igs2gs: sweeps over all views; in2n: one view every few steps, in full, half or half precision without LPIPS; sds: score distillation.";
    guidance_scale: f64 = 12.5, "guidance-scale", "Instruction strength", Kind::Float { min: 1.0, max: 30.0 }, "", Basic, EDIT | EDIT_IMAGE,
        "Text guidance: higher follows the instruction harder.";
    image_guidance_scale: f64 = 1.5, "image-guidance-scale", "Faithfulness to photo", Kind::Float { min: 1.0, max: 5.0 }, "", Basic, EDIT | EDIT_IMAGE,
        "Image guidance: higher stays nearer to the original photo.";
    photo_detail: f64 = 0.0, "photo-detail", "Detail from photo", Kind::Float { min: 0.0, max: 1.0 }, "", Basic, EDIT | EDIT_IMAGE,
        "How much of the photo's own fine detail an edited view gets: 0: the edit model's picture as it is, as published; 1: all of it, under the edit's colors and light. Not for sds.";
    edit_steps: u32 = 7500u32, "steps", "Steps", Kind::Int { min: 1, max: 1_000_000 }, "steps", Basic, EDIT,
        "Optimization steps of the edit, in addition to those the scene has had.";
    kind: SceneKind = SceneKind::Splat, "kind", "Scene", Kind::Choice(SceneKind::CHOICES), "", Basic, RECONSTRUCT | EDIT,
        "What photos become: splat, or luxen (a neural radiance field).";
    reconstruct_steps: u32 = 0u32, "reconstruct-steps", "Reconstruction steps", Kind::Int { min: 0, max: 1_000_000 }, "steps", Basic, RECONSTRUCT | EDIT,
        "Optimization steps of the reconstruction; all schedules stretch to it. 0: 7000 for splats, 30000 for a Luxen, 8000 for a small one.";
    model: String = "bundled", "model", "Edit model", Kind::Text, "", Basic, EDIT | EDIT_IMAGE | SERVE,
        "The InstructPix2Pix model: a folder in diffusers layout, an original checkpoint, or an id that `model get` fetched; bundled: the small one that comes with luxedit.";
    speed: Speed = Speed::Published, "speed", "Denoise", Kind::Choice(Speed::CHOICES), "", Advanced, EDIT | EDIT_IMAGE,
        "Preset of the denoising settings. published: 20 DDIM steps; fast: 10 steps of DPM-Solver++, the last without guidance.";
    scheduler: Scheduler = Scheduler::Ddim, "scheduler", "Solver", Kind::Choice(Scheduler::CHOICES), "", Advanced, EDIT | EDIT_IMAGE,
        "Solver of the denoising steps; in edit-image, ddim stands for the model's own.";
    guidance_low: f64 = 0.0, "guidance-low", "Guide above", Kind::Float { min: 0.0, max: 1.0 }, "", Advanced, EDIT | EDIT_IMAGE,
        "Share of the diffusion range above which guidance acts; below, a step takes a third of the work.";
    guidance_high: f64 = 1.0, "guidance-high", "Guide below", Kind::Float { min: 0.0, max: 1.0 }, "", Advanced, EDIT | EDIT_IMAGE,
        "Share of the diffusion range below which guidance acts.";
    diffusion_steps: u32 = 20u32, "diffusion-steps", "Denoising steps", Kind::Int { min: 1, max: 1000 }, "steps", Advanced, EDIT | EDIT_IMAGE,
        "Denoising steps of each edited view.";
    edited_side: u32 = 0u32, "edited-side", "Largest edited side", Kind::Int { min: 0, max: 65_536 }, "pixels", Advanced, EDIT | EDIT_IMAGE,
        "Longer side at which the edit model sees pictures; its edits are brought back to full size, with as much of the photo's detail as is set. 0: edited as they are, 1 to 31 count as 32. Not for sds.";
    lower_bound: f64 = 0.7, "lower-bound", "Least noise", Kind::Float { min: 0.0, max: 1.0 }, "", Advanced, EDIT,
        "Smallest share of the diffusion range at which a view's edit starts.";
    upper_bound: f64 = 0.98, "upper-bound", "Most noise", Kind::Float { min: 0.0, max: 1.0 }, "", Advanced, EDIT,
        "Largest share of the diffusion range at which a view's edit starts.";
    sweep_interval: u32 = 2500u32, "sweep-interval", "Sweep every", Kind::Int { min: 1, max: 1_000_000 }, "steps", Advanced, EDIT,
        "Steps from the start of one sweep over the training views to the start of the next.";
    sweep_views: u32 = 0u32, "sweep-views", "Views a sweep", Kind::Int { min: 0, max: 1_000_000 }, "views", Advanced, EDIT,
        "Training views that one sweep edits, evenly spread, the next sweep others; steps then train on edited views only. 0: all.";
    sweep: Sweep = Sweep::Interleaved, "sweep", "Sweep", Kind::Choice(Sweep::CHOICES), "", Advanced, EDIT,
        "interleaved: one view is edited before each step; frozen: all views are edited before the next step.";
    color_rate: f64 = 1.0, "color-rate", "Color learning rate", Kind::Float { min: 0.1, max: 20.0 }, "×", Advanced, EDIT,
        "How much faster than in a reconstruction the colors of splats follow an edit; higher shows it sooner, and wavers more.";
    edit_rate: u32 = 10u32, "edit-rate", "Edit every", Kind::Int { min: 1, max: 1_000_000 }, "steps", Advanced, EDIT,
        "in2n: steps from one view edit to the next; sds: steps from one picture in the strip to the next.";
    edit_count: u32 = 1u32, "edit-count", "Views an edit", Kind::Int { min: 1, max: 1000 }, "views", Advanced, EDIT,
        "in2n: views that are edited each time.";
    loss: Loss = Loss::Auto, "loss", "Loss", Kind::Choice(Loss::CHOICES), "", Advanced, EDIT,
        "What steps towards edited views minimize; auto: L1 + LPIPS where its weights are found, else L1 + SSIM (igs2gs on splats) or L1.";
    lpips_classifier: LpipsClassifier = LpipsClassifier::Alex, "lpips-net", "LPIPS classifier", Kind::Choice(LpipsClassifier::CHOICES), "", Advanced, EDIT | EVAL,
        "Whose features LPIPS compares: AlexNet, VGG16 or SqueezeNet 1.1.";
    lpips_weights: String = "", "lpips-weights", "LPIPS weights", Kind::Text, "", Advanced, EDIT | EVAL,
        "Weight file of the LPIPS classifier; empty: torchvision's file in torch's cache.";
    edit_device: EditDevice = EditDevice::Auto, "edit-device", "Edit on", Kind::Device, "", Advanced, EDIT | EDIT_IMAGE | EVAL | CHECK | SERVE,
        "Where the networks run; auto: the graphics card, or the CPU where there is only a software adapter; gpu:N: the Nth card; ws://…: remote editors that `serve-editor` runs, which share the views.";
    precision: Precision = Precision::Half, "precision", "Precision", Kind::Choice(Precision::CHOICES), "", Advanced, EDIT | EDIT_IMAGE | CHECK | SERVE,
        "Which weight files of the model folder are preferred; on a graphics card also what the edit model is kept in there: half takes half the memory, and sums are single precision all the same. Also what an edited Luxen's hash tables are read in.";
    edit_memory_mib: u32 = 0u32, "edit-memory", "Memory for edits", Kind::Int { min: 0, max: 10_000_000 }, "MiB", Advanced, EDIT | EDIT_IMAGE | SERVE,
        "Graphics memory that the edit model may take, MiB; where that is too little, it works in smaller parts, then reads the instruction on the processor; 0: no limit.";
    views_at_once: u32 = 0u32, "views-at-once", "Views at once", Kind::Int { min: 0, max: 64 }, "views", Advanced, EDIT,
        "Views that the edit model takes together where no step comes between, in frozen sweeps and with several views an edit: quicker on large graphics cards, and more memory; no more than there is room for, as far as that is known. 0: up to 4 within --edit-memory, else 1.";
    downscale: u32 = 0u32, "downscale", "Shrink photos", Kind::Int { min: 0, max: 64 }, "times", Advanced, RECONSTRUCT | EDIT | EVAL,
        "Shrink photos this many times on load; 0: only where the capture brings smaller copies of large photos.";
    view_side: u32 = 0u32, "view-side", "Largest photo side", Kind::Int { min: 0, max: 65_536 }, "pixels", Advanced, RECONSTRUCT | EDIT,
        "Photos with a longer side are shrunk to it on load, by a whole number of times, unless --downscale says how much; 0: no limit.";
    splat_count: u32 = 25_000u32, "splats", "Starting splats", Kind::Int { min: 100, max: 5_000_000 }, "splats", Advanced, RECONSTRUCT | EDIT,
        "Random splats to start from when the capture has no points.";
    strategy: Strategy = Strategy::Default, "strategy", "Growth", Kind::Choice(Strategy::CHOICES), "", Advanced, RECONSTRUCT | EDIT,
        "How a reconstruction finds where splats are needed; default: double and split what the photos pull at; mcmc: move transparent splats to where others are; none: keep to the starting splats.";
    max_splats: u32 = 0u32, "max-splats", "Most splats", Kind::Int { min: 0, max: 50_000_000 }, "splats", Advanced, RECONSTRUCT | EDIT,
        "Most splats of a reconstruction; 0: three for four pixels of a photo.";
    splat_memory_mib: u32 = 8192u32, "splat-memory", "Memory for splats", Kind::Int { min: 1, max: 10_000_000 }, "MiB", Advanced, RECONSTRUCT | EDIT,
        "Graphics memory that splats and their optimizer may take, MiB; bounds their number.";
    growth_gradient: f64 = 0.0002, "growth-gradient", "Grow over", Kind::Float { min: 0.0, max: 0.01 }, "", Advanced, RECONSTRUCT | EDIT,
        "With the default strategy: mean gradient of a splat's place in the picture over which it is doubled or split; lower makes more splats.";
    gradient_sum: GradientSum = GradientSum::Signed, "gradient-sum", "Pulls add up", Kind::Choice(GradientSum::CHOICES), "", Advanced, RECONSTRUCT | EDIT,
        "With the default strategy: signed: pulls at a splat to opposite sides cancel; absolute: they add up, which finds more to split.";
    min_opacity: f64 = 0.005, "min-opacity", "Remove below", Kind::Float { min: 0.0, max: 0.5 }, "", Advanced, RECONSTRUCT | EDIT,
        "Opacity under which a reconstruction removes a splat, or moves it elsewhere.";
    sh_degree: u32 = 3u32, "sh-degree", "View dependence", Kind::Int { min: 0, max: 3 }, "", Advanced, RECONSTRUCT | EDIT,
        "Degree of the spherical harmonics that colour a splat by direction.";
    antialias: Antialias = Antialias::Auto, "antialias", "Antialiased", Kind::Choice(Antialias::CHOICES), "", Advanced, RECONSTRUCT | EDIT | VIEWS,
        "Whether splats fade as they become smaller than a pixel, so that a scene looks the same from afar and enlarged; auto: as the splat file says, off for a reconstruction.";
    refine_poses: PoseRefinement = PoseRefinement::Off, "refine-poses", "Refine cameras", Kind::Choice(PoseRefinement::CHOICES), "", Advanced, RECONSTRUCT | EDIT,
        "Whether a reconstruction also learns small corrections of the cameras' poses; they are kept with the project, the capture stays as it is.";
    rig_count: u32 = 48u32, "count", "Views", Kind::Int { min: 4, max: 1000 }, "views", Advanced, VIEWS,
        "Pictures made of a splat file from around it; views that show little or are blocked are left out.";
    rig_side: u32 = 512u32, "size", "Size", Kind::Int { min: 16, max: 4096 }, "pixels", Advanced, VIEWS,
        "Width and height of those pictures.";
    rig_arc: f64 = 360.0, "arc", "Arc", Kind::Float { min: 0.0, max: 360.0 }, "°", Advanced, VIEWS,
        "How far around the scene they are spread; less than 360 for a scene that was seen from one side.";
    rig_fov: f64 = 50.0, "fov", "Angle of view", Kind::Float { min: 10.0, max: 120.0 }, "°", Advanced, VIEWS,
        "Their angle of view.";
    up_axis: UpAxis = UpAxis::PlusZ, "up", "Up", Kind::Choice(UpAxis::CHOICES), "", Advanced, VIEWS | CONVERT,
        "Which axis of the splat file points up; many files from the web have -y. For meshes and points: of one without a capture, which is looked at from all around.";
    luxen_size: LuxenSize = LuxenSize::Auto, "luxen-size", "Luxen size", Kind::Choice(LuxenSize::CHOICES), "", Advanced, RECONSTRUCT | EDIT,
        "full: nerfacto's published sizes; small: what a processor trains in minutes; auto: full on a graphics card, small on a software adapter.";
    luxen_rays: u32 = 0u32, "luxen-rays", "Rays a step", Kind::Int { min: 0, max: 65_536 }, "rays", Advanced, RECONSTRUCT | EDIT,
        "Rays of a Luxen's step, rounded up to a multiple of 64; 0: 4096, small 1024, four times as many with LPIPS, whose patches take 1024 each.";
    luxen_samples: u32 = 0u32, "luxen-samples", "Samples a ray", Kind::Int { min: 0, max: 512 }, "", Advanced, RECONSTRUCT | EDIT,
        "Samples of a Luxen's field on each ray, rounded up to a multiple of 4; 0: 48, small 16.";
    luxen_grid: u32 = 0u32, "luxen-grid", "Grid entries", Kind::Int { min: 0, max: 24 }, "", Advanced, RECONSTRUCT | EDIT,
        "Binary logarithm of the entries a level of a Luxen's hash grid; 0: 19, small 16.";
    luxen_appearance: Appearance = Appearance::Auto, "luxen-appearance", "Exposure a photo", Kind::Choice(Appearance::CHOICES), "", Advanced, RECONSTRUCT | EDIT,
        "Whether a Luxen learns an exposure for each photo; auto: except for synthetic captures.";
    convert_steps: u32 = 1500u32, "steps", "Conversion steps", Kind::Int { min: 1, max: 1_000_000 }, "steps", Advanced, CONVERT,
        "Optimization steps of splats that are made of a Luxen, towards its own renders.";
    mesh_resolution: u32 = 256u32, "resolution", "Mesh resolution", Kind::Int { min: 8, max: 1024 }, "", Advanced, CONVERT,
        "Grid spacings along the longest side of a mesh.";
    crop: String = "", "crop", "Crop box", Kind::Text, "", Advanced, RENDER | CONVERT,
        "Box outside of which a Luxen is not drawn, and of no scene a mesh or points are made: x y z of its least corner and x y z of its greatest, world units; empty: no box.";
    snapshot_interval: u32 = 250u32, "snapshot-interval", "Snapshot every", Kind::Int { min: 1, max: 1_000_000 }, "steps", Advanced, RECONSTRUCT | EDIT,
        "Steps between snapshots on the timeline.";
    snapshot_limit: u32 = 40u32, "snapshot-limit", "Keep snapshots", Kind::Int { min: 2, max: 10_000 }, "", Advanced, RECONSTRUCT | EDIT,
        "Snapshots kept; older ones that are not pinned are thinned out, the first and the newest stay.";
    snapshot_budget_mib: u32 = 8192u32, "snapshot-budget", "Snapshots on disk", Kind::Int { min: 16, max: 10_000_000 }, "MiB", Advanced, RECONSTRUCT | EDIT,
        "Disk space for snapshots, MiB; over it, the timeline is thinned out as for the limit.";
    autosave_secs: u32 = 30u32, "autosave", "Save every", Kind::Int { min: 1, max: 3600 }, "s", Advanced, RECONSTRUCT | EDIT,
        "Seconds between automatic saves of the project.";
    clip: String = "", "clip", "CLIP model", Kind::Text, "", Advanced, EVAL,
        "Folder of a CLIP model in transformers layout, to measure an edit with: renders against photos.";
    caption_before: String = "", "caption-before", "Caption before", Kind::Text, "", Advanced, EVAL,
        "What the photos show, for CLIP: \"a photo of a man\".";
    caption_after: String = "", "caption-after", "Caption after", Kind::Text, "", Advanced, EVAL,
        "What the edited scene shows, for CLIP: \"a photo of a bronze statue\".";
    matching: Matching = Matching::Auto, "matching", "Compare photos", Kind::Choice(Matching::CHOICES), "", Advanced, POSES,
        "Which photos COLMAP compares: exhaustive: all with all; sequential: each with those before and after it; auto: all with all up to 300 photos, in sequence for more and for videos.";
    video_frames: u32 = 150u32, "frames", "Pictures of a video", Kind::Int { min: 3, max: 5000 }, "pictures", Advanced, POSES,
        "Pictures taken of a video, evenly over its length.";
    colmap: String = "", "colmap", "COLMAP", Kind::Text, "", Advanced, POSES,
        "The program COLMAP; empty: the one on the PATH.";
    ffmpeg: String = "", "ffmpeg", "ffmpeg", Kind::Text, "", Advanced, POSES | RENDER,
        "The program ffmpeg, for videos; empty: the one on the PATH.";
    seed: u64 = 0u64, "seed", "Seed", Kind::Int { min: 0, max: u64::MAX }, "", Advanced, RECONSTRUCT | EDIT | EDIT_IMAGE | CONVERT,
        "Seed of every random choice: same seed, same views, noise levels and noises.";
}

impl Settings {
    /// Whether a Luxen gets the published sizes.
    pub fn has_full_luxen(&self, is_software: bool) -> bool {
        match self.luxen_size {
            LuxenSize::Auto => !is_software,
            LuxenSize::Small => false,
            LuxenSize::Full => true,
        }
    }

    /// Steps of a reconstruction.
    pub fn planned_steps(&self, is_software: bool) -> u32 {
        match (self.reconstruct_steps, self.kind) {
            (0, SceneKind::Splat) => 7000,
            (0, SceneKind::Luxen) if self.has_full_luxen(is_software) => 30_000,
            (0, SceneKind::Luxen) => 8000,
            (steps, _) => steps,
        }
    }

    /// The row of a field.
    pub fn info(key: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|s| s.key == key)
    }

    /// The defaults of a method at a speed.
    pub fn of(method: Method, speed: Speed) -> Self {
        let mut settings = Self {
            method,
            speed,
            ..Self::default()
        };
        settings.adopt_method();
        settings.adopt_speed();
        settings
    }

    /// Replace what the speed decides.
    fn adopt_speed(&mut self) {
        (self.scheduler, self.diffusion_steps) = match self.speed {
            Speed::Published => (Scheduler::Ddim, 20),
            Speed::Fast => (Scheduler::DpmPlusPlus, 10),
        };
        (self.guidance_low, self.guidance_high) = match self.speed {
            Speed::Published => (0.0, 1.0),
            Speed::Fast => (0.1, 1.0),
        };
    }

    /// Replace what the method decides by its published values (Instruct-NeRF2NeRF, Instruct-GS2GS).
    fn adopt_method(&mut self) {
        let defaults = Self::default();
        self.edit_rate = defaults.edit_rate;
        self.edit_count = defaults.edit_count;
        self.image_guidance_scale = defaults.image_guidance_scale;
        self.upper_bound = defaults.upper_bound;
        (self.guidance_scale, self.lower_bound) = match self.method {
            Method::Igs2gs => (defaults.guidance_scale, defaults.lower_bound),
            Method::In2n | Method::In2nSmall | Method::In2nTiny | Method::Sds => (7.5, 0.02),
        };
        self.edit_steps = match self.method {
            Method::Igs2gs | Method::Sds => defaults.edit_steps,
            Method::In2n => 15_000,
            Method::In2nSmall | Method::In2nTiny => 30_000,
        };
        self.precision = match self.method {
            Method::In2n | Method::Sds => Precision::Full,
            Method::Igs2gs | Method::In2nSmall | Method::In2nTiny => Precision::Half,
        };
        self.loss = match self.method {
            Method::In2nTiny => Loss::L1,
            Method::Igs2gs | Method::In2n | Method::In2nSmall | Method::Sds => Loss::Auto,
        };
    }

    /// An edit needs an instruction and a model.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what is missing.
    pub fn check_prompt_and_model(&self) -> Result<()> {
        if self.prompt.trim().is_empty() {
            return Err(Error::invalid(
                "type an instruction first, such as \"make him a marble statue\": an empty one would change nothing",
            ));
        }
        if self.model.trim().is_empty() {
            return Err(Error::invalid(
                "choose an edit model first: the bundled one, the folder of an InstructPix2Pix model, or get one with \
                 \"Get model…\" or `luxedit model get`",
            ));
        }
        self.edit_device.addresses()?;
        Ok(())
    }

    /// Rules that span several settings.
    ///
    /// # Errors
    /// [`Error::Invalid`] says which settings contradict each other.
    pub fn check_edit(&self) -> Result<()> {
        self.check_prompt_and_model()?;
        if self.guidance_low > self.guidance_high {
            return Err(Error::Invalid(format!(
                "guidance would never act: it starts above {} and ends below {}",
                self.guidance_low, self.guidance_high
            )));
        }
        if self.lower_bound > self.upper_bound {
            return Err(Error::Invalid(format!(
                "the least noise ({}) is above the most noise ({})",
                self.lower_bound, self.upper_bound
            )));
        }
        if self.method == Method::Sds {
            return Ok(());
        }
        let lowest = (self.lower_bound * 1000.0) as u32;
        if lowest < self.diffusion_steps {
            return Err(Error::Invalid(format!(
                "{} denoising steps do not fit below a least noise of {}: raise --lower-bound to at least {}, or take fewer steps",
                self.diffusion_steps,
                self.lower_bound,
                f64::from(self.diffusion_steps) / 1000.0
            )));
        }
        Ok(())
    }
}
