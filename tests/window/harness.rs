//! The window without a display: the real [`App`] on a software or hardware adapter, driven by accessible labels.

use eframe::{
    egui::{self, accesskit::Role},
    egui_wgpu::{RenderState, RendererOptions},
};
use egui_kittest::{
    Harness, Node,
    kittest::{NodeT as _, Queryable as _},
    wgpu::{WgpuTestRenderer, create_render_state},
};
use image::RgbaImage;
use luxedit::{
    app::{App, Chooser, Recents, Worker},
    bundle::Bundle,
    gpu::{Gpu, window_adapters, window_setup},
};
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// How long anything may take on a slow, busy machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// One window at a time: software adapters are as wide as the machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub struct Window {
    pub harness: Harness<'static, App>,
    _alone: MutexGuard<'static, ()>,
}

/// Bundled assets of the tests, made once; its demo has a scene.
pub fn bundle_folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            crate::bundle::make(folder.path());
            std::fs::write(folder.path().join("demo/scene.ply"), b"")
                .expect("a stand-in for the scene");
            folder
        })
        .path()
}

/// A window with the tests' bundled assets; `None`, in words, where there is no adapter.
pub fn open_window(
    size: [f32; 2],
    worker: impl FnOnce(Arc<Gpu>) -> Box<dyn Worker>,
) -> Option<Window> {
    open_window_with(size, Bundle::at(bundle_folder().to_owned()), worker)
}

pub fn open_window_with(
    size: [f32; 2],
    bundle: Bundle,
    worker: impl FnOnce(Arc<Gpu>) -> Box<dyn Worker>,
) -> Option<Window> {
    let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (instance, mut adapters) = match window_adapters() {
        Ok(found) => found,
        Err(e) => {
            println!("SKIPPED: {e}");
            return None;
        }
    };
    let setup = window_setup(&instance, adapters.swap_remove(0)).expect("a device");
    let state: RenderState = create_render_state(setup, RendererOptions::PREDICTABLE);
    let gpu = Gpu::from_eframe(&state);
    let worker = worker(gpu.clone());
    let app = App::new(
        gpu,
        &state,
        worker,
        Recents::forgetful(),
        Chooser::new(false),
        bundle,
    )
    .expect("the adapter runs the rasterizer");
    // The harness puts 8 points of margin around what it shows.
    let size = egui::vec2(size[0] + 16.0, size[1] + 16.0);
    let harness = Harness::builder()
        .with_size(size)
        .with_step_dt(1.0 / 30.0)
        .with_max_steps(2)
        .with_context_setup(luxedit::app::apply_theme)
        .renderer(WgpuTestRenderer::from_render_state(state))
        .build_ui_state(
            |ui, app: &mut App| {
                let ctx = ui.ctx().clone();
                app.update(&ctx);
                app.show(ui);
            },
            app,
        );
    Some(Window {
        harness,
        _alone: alone,
    })
}

impl Window {
    pub fn steps(&mut self, n: usize) {
        for _ in 0..n {
            self.harness.step();
        }
    }

    /// Draw frames until `condition` holds.
    pub fn until(&mut self, what: &str, condition: impl Fn(&Harness<'static, App>) -> bool) {
        let start = Instant::now();
        loop {
            self.harness.step();
            if condition(&self.harness) {
                return;
            }
            if start.elapsed() > PATIENCE {
                self.keep_picture("timeout");
                panic!("waited in vain for: {what}\n{:?}", self.harness);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn until_label(&mut self, text: &str) {
        self.until(text, |h| {
            h.query_all_by_label_contains(text).next().is_some()
        });
    }

    /// The picture of the newest parameters from the camera is on the screen.
    pub fn until_settled(&mut self) {
        self.steps(20);
        self.until("the viewport to settle", |h| h.state().is_settled());
        self.steps(2);
    }

    pub fn get<'a>(&'a self, label: &'a str) -> Node<'a> {
        self.harness.get_by_label(label)
    }

    pub fn has(&self, text: &str) -> bool {
        self.harness
            .query_all_by_label_contains(text)
            .next()
            .is_some()
    }

    pub fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.steps(3);
    }

    pub fn is_disabled(&self, label: &str) -> bool {
        self.get(label).accesskit_node().is_disabled()
    }

    /// Replace the content of a text field.
    pub fn type_into(&mut self, label: &str, text: &str) {
        self.harness.get_by_label(label).focus();
        self.steps(2);
        self.harness
            .key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
        self.steps(1);
        self.harness.get_by_label(label).type_text(text);
        self.steps(2);
        assert_eq!(
            self.get(label).value().as_deref(),
            Some(text),
            "{label} takes the text"
        );
    }

    pub fn set_number(&mut self, label: &str, value: f64) {
        self.harness.get_by_label(label).set_value_accesskit(value);
        self.steps(3);
    }

    pub fn press(&mut self, modifiers: egui::Modifiers, key: egui::Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.steps(3);
    }

    pub fn render(&mut self) -> RgbaImage {
        self.harness.render().expect("the window renders")
    }

    /// The viewport's pixels, without the chips on its edges.
    pub fn viewport_pixels(&mut self) -> RgbaImage {
        self.until_settled();
        let rect = self.get("Viewport").rect().shrink(48.0);
        let picture = self.render();
        image::imageops::crop_imm(
            &picture,
            rect.min.x as u32,
            rect.min.y as u32,
            rect.width() as u32,
            rect.height() as u32,
        )
        .to_image()
    }

    /// For looking at: only where `LUXEDIT_PICTURES` names a folder.
    pub fn keep_picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("LUXEDIT_PICTURES") else {
            return;
        };
        let path = std::path::Path::new(&folder).join(format!("{name}.png"));
        self.render().save(&path).expect("the picture is written");
    }

    /// Every control on the screen: its role, name and place.
    pub fn controls(&self) -> Vec<(Role, String, egui::Rect)> {
        let roles = [
            Role::Button,
            Role::TextInput,
            Role::MultilineTextInput,
            Role::Slider,
            Role::SpinButton,
            Role::ComboBox,
            Role::CheckBox,
        ];
        self.harness
            .root()
            .children_recursive()
            .filter(|node| roles.contains(&node.accesskit_node().role()))
            .map(|node| {
                let inner = node.accesskit_node();
                (inner.role(), inner.label().unwrap_or_default(), node.rect())
            })
            .collect()
    }
}

/// Mean absolute difference of two pictures of one size, [0, 255].
pub fn difference(a: &RgbaImage, b: &RgbaImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a
        .as_raw()
        .iter()
        .zip(b.as_raw())
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / a.as_raw().len() as f64
}
