//! The native window around [`App`]: opens it, gives it the worker, closes it on a signal, and explains why it cannot
//! be opened.

use super::App;
use crate::{
    Error, Result,
    app::{Chooser, Recents, icon, theme},
    bundle::Bundle,
    gpu::{Gpu, window_adapters, window_setup},
    worker::WorkerHandle,
};
use eframe::{egui, egui_wgpu::WgpuSetup};
use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.update(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.show(ui);
    }

    fn on_exit(&mut self) {
        self.shut_down();
    }
}

/// Open the window, and in it `path`. Returns when it was closed and the worker has saved.
///
/// # Errors
/// [`Error::Gpu`] when there is no display or no adapter that can draw the window.
pub fn run(path: Option<PathBuf>) -> Result<()> {
    let (instance, adapters) = window_adapters()?;
    let mut cannot_draw = None;
    for adapter in adapters {
        let name = adapter.get_info().name;
        let opened = open(window_setup(&instance, adapter)?, path.clone());
        match opened {
            Err(eframe::Error::Wgpu(e)) => {
                log::warn!("{name} cannot draw the window: {e}");
                cannot_draw.get_or_insert(eframe::Error::Wgpu(e));
            }
            opened => return opened.map_err(|e| explain(&e)),
        }
    }
    cannot_draw.map_or(Ok(()), |e| Err(explain(&e)))
}

fn open(wgpu_setup: WgpuSetup, path: Option<PathBuf>) -> eframe::Result {
    let options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("luxedit")
            .with_app_id("luxedit")
            .with_inner_size([1320.0, 860.0])
            .with_min_inner_size([860.0, 560.0])
            .with_icon(icon::icon())
            .with_drag_and_drop(true),
        renderer: eframe::Renderer::Wgpu,
        wgpu_options: eframe::egui_wgpu::WgpuConfiguration {
            wgpu_setup,
            ..Default::default()
        },
        ..Default::default()
    };
    eframe::run_native(
        "luxedit",
        options,
        Box::new(move |cc| Ok(Box::new(start(cc, path.as_deref())?))),
    )
}

fn start(cc: &eframe::CreationContext<'_>, path: Option<&Path>) -> Result<App> {
    let state = cc
        .wgpu_render_state
        .as_ref()
        .ok_or_else(|| Error::Gpu("the window was opened without a graphics device".into()))?;
    theme::apply(&cc.egui_ctx);
    let gpu = Gpu::from_eframe(state);
    let ctx = cc.egui_ctx.clone();
    let worker = WorkerHandle::spawn(gpu.clone(), move || ctx.request_repaint())?;
    let mut app = App::new(
        gpu,
        state,
        Box::new(worker),
        Recents::load(),
        Chooser::detect(),
        Bundle::find(),
    )?;
    close_on_signal(&app, &cc.egui_ctx);
    if let Some(path) = path {
        app.open_when_idle(path);
    }
    Ok(app)
}

/// Ctrl-C in the terminal closes the window as its close button does.
fn close_on_signal(app: &App, ctx: &egui::Context) {
    let switch = app.close_switch();
    let ctx = ctx.clone();
    let installed = ctrlc::set_handler(move || {
        switch.store(true, Ordering::Relaxed);
        ctx.request_repaint();
    });
    if let Err(e) = installed {
        log::warn!("Ctrl-C will end luxedit without saving: {e}");
    }
}

fn explain(error: &eframe::Error) -> Error {
    match error {
        eframe::Error::AppCreation(inner) => match inner.downcast_ref::<Error>() {
            Some(known) => Error::Gpu(known.to_string()),
            None => Error::Gpu(inner.to_string()),
        },
        eframe::Error::Wgpu(e) => Error::Gpu(format!(
            "no graphics adapter can draw the window ({e}). Install your graphics driver; without a graphics card, \
             Mesa's software adapter serves: `sudo apt-get install mesa-vulkan-drivers libvulkan1`"
        )),
        e => Error::Gpu(format!(
            "no window can be opened here ({e}). On a machine without a display, use the command line: `luxedit --help`"
        )),
    }
}
