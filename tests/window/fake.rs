//! A worker that only plays its part, so that tests can say exactly what happens when, and see exactly what was asked.

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use glam::DVec3;
use luxedit::{
    Result,
    app::Worker,
    edit::Drawable,
    gpu::Gpu,
    hub::FetchProgress,
    scene::{Camera, Intrinsics, Photo, Splats},
    settings::Settings,
    splat::{self, SplatBuffers},
    worker::{
        Command, Event, Progress, SceneInfo, Slots, SnapshotId, SnapshotInfo, TrialPreview,
        ViewEdit, ViewInfo,
    },
};
use std::{path::PathBuf, sync::Arc};

/// The test's end.
pub struct Script {
    pub commands: Receiver<Command>,
    /// `None` after [`Script::end`].
    events: Option<Sender<Event>>,
    slots: Slots,
    gpu: Arc<Gpu>,
}

/// The window's end.
struct Fake {
    commands: Sender<Command>,
    events: Receiver<Event>,
    slots: Slots,
}

impl Worker for Fake {
    fn send(&self, command: Command) -> Result<()> {
        self.commands.send(command).expect("the script listens");
        Ok(())
    }
    fn events(&self) -> &Receiver<Event> {
        &self.events
    }
    fn slots(&self) -> &Slots {
        &self.slots
    }
    fn shut_down(self: Box<Self>) {}
}

pub fn fake_worker(gpu: Arc<Gpu>) -> (Script, Box<dyn Worker>) {
    let (command_sender, commands) = unbounded();
    let (event_sender, events) = bounded(1 << 16);
    let slots = Slots::default();
    let script = Script {
        commands,
        events: Some(event_sender),
        slots: slots.clone(),
        gpu,
    };
    (
        script,
        Box::new(Fake {
            commands: command_sender,
            events,
            slots,
        }),
    )
}

pub const VIEWS: usize = 12;

impl Script {
    pub fn say(&self, event: Event) {
        self.events
            .as_ref()
            .expect("not ended")
            .send(event)
            .expect("the window listens");
    }

    pub fn open(&self, has_splats: bool, settings: Settings) {
        self.say(Event::Opened(Box::new(scene(has_splats, settings))));
    }

    /// A scene without photos.
    pub fn open_splat_file(&self, settings: Settings) {
        let info = SceneInfo {
            views: Arc::default(),
            ..scene(true, settings)
        };
        self.say(Event::Opened(Box::new(info)));
    }

    /// Show a ball of splats of one hue, [0, 1].
    pub fn draw(&self, hue: f32) {
        self.slots.drawable.put(Drawable::Splats(splat::Drawable {
            splats: SplatBuffers::upload(&self.gpu, &ball(hue)).expect("a small upload"),
            active_sh_degree: 0,
            background: [0.05, 0.06, 0.08],
            generation: 0,
        }));
    }

    pub fn progress(&self, progress: Progress) {
        self.slots.progress.put(progress);
    }

    pub fn previewing(&self, preview: TrialPreview) {
        self.slots.preview.put(preview);
    }

    pub fn fetching(&self, progress: FetchProgress) {
        self.slots.fetch.put(progress);
    }

    pub fn snapshot(&self, id: u32) {
        self.say(Event::Snapshot(SnapshotInfo {
            id: SnapshotId(id),
            parent: id.checked_sub(1).map(SnapshotId),
            step: id * 250,
            label: "Reconstruction".into(),
            thumbnail: picture(64, 48, id as f32 * 0.1),
            pinned: false,
        }));
    }

    pub fn edit(&self, number: u32) {
        self.say(Event::ViewEdited(Box::new(ViewEdit {
            view: number as usize % VIEWS,
            sweep: number / VIEWS as u32,
            step: 3000 + number,
            prompt: "make it a bronze bust".into(),
            guidance_scale: 12.5,
            image_guidance_scale: 1.5,
            timestep: 800,
            render: picture(96, 72, 0.4),
            edited: picture(96, 72, 0.1),
            change: (number >= VIEWS as u32).then(|| 0.2 / (1.0 + number as f32 / 10.0)),
            duration_secs: 1.4,
        })));
    }

    /// Events that the window has not taken in.
    pub fn waiting(&self) -> usize {
        self.events.as_ref().map_or(0, Sender::len)
    }

    /// Everything that the window has asked for so far.
    pub fn asked(&self) -> Vec<Command> {
        self.commands.try_iter().collect()
    }

    /// The worker's thread is over.
    pub fn end(&mut self) {
        self.events = None;
    }
}

fn scene(has_splats: bool, settings: Settings) -> SceneInfo {
    let intrinsics = Intrinsics {
        fx: 100.0,
        fy: 100.0,
        cx: 48.0,
        cy: 36.0,
        width: 96,
        height: 72,
    };
    let views = (0..VIEWS).map(|i| {
        let angle = i as f64 / VIEWS as f64 * std::f64::consts::TAU;
        let eye = DVec3::new(4.0 * angle.cos(), 4.0 * angle.sin(), 1.5);
        ViewInfo {
            name: format!("images/{i:04}.jpg"),
            camera: Camera::look_at(eye, DVec3::ZERO, DVec3::Z, intrinsics),
            photo: picture(96, 72, i as f32 / VIEWS as f32),
            is_eval: i == 0,
        }
    });
    SceneInfo {
        title: "bust".into(),
        source: PathBuf::from("/captures/bust"),
        project: None,
        views: Arc::new(views.collect()),
        center: DVec3::ZERO,
        radius: 4.0,
        up: DVec3::Z,
        has_splats,
        interrupted: None,
        downscale: 2,
        missing: Vec::new(),
        settings,
    }
}

fn rgb(hue: f32) -> [f32; 3] {
    [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|shift| {
        let distance = ((hue + shift).fract() - 0.5).abs() * 2.0;
        (1.5 * distance).clamp(0.1, 0.95)
    })
}

fn picture(width: u32, height: u32, hue: f32) -> Photo {
    let color = rgb(hue);
    let mut bytes = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let light = 0.4 + 0.6 * (x as f32 / width as f32) * (1.0 - y as f32 / height as f32);
            bytes.extend(color.map(|c| (c * light * 255.0) as u8));
        }
    }
    Photo::new(width, height, bytes)
}

/// Opaque splats on a sphere of radius 1 (a Fibonacci lattice).
fn ball(hue: f32) -> Splats {
    const COUNT: usize = 600;
    const SH_C0: f32 = 0.282_094_8;
    let mut splats = Splats::default();
    for i in 0..COUNT {
        let z = 1.0 - 2.0 * (i as f32 + 0.5) / COUNT as f32;
        let angle = i as f32 * 2.399_963_2;
        let ring = (1.0 - z * z).sqrt();
        splats
            .means
            .extend([ring * angle.cos(), ring * angle.sin(), z]);
        splats.quats.extend([1.0, 0.0, 0.0, 0.0]);
        splats.log_scales.extend([(0.06f32).ln(); 3]);
        splats.logit_opacities.push(4.0);
        let light = 0.55 + 0.45 * z;
        splats
            .sh_dc
            .extend(rgb(hue + 0.08 * z).map(|c| (c * light - 0.5) / SH_C0));
    }
    splats
}
