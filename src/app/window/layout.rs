//! Where the panels are, and what lies over them.

use super::App;
use crate::{
    app::{
        Action, bars, commands::Facts, crop, model, reel, side_panel::Known, start_page, theme,
        timeline,
    },
    worker::SceneInfo,
};
use eframe::egui;
use std::path::PathBuf;

impl App {
    /// Draw the window.
    pub fn show(&mut self, ui: &mut egui::Ui) {
        let ctx = ui.ctx().clone();
        self.thumbs.begin_frame();
        self.dropped_files(&ctx);
        let followed = self.models.follow(&mut self.model.settings);
        self.report(followed);
        let facts = self.facts();
        self.shortcuts(&ctx, &facts);
        let facts = self.facts();
        let mut actions = Vec::new();
        self.panels(ui, &facts, &mut actions);
        self.overlays(&ctx, &facts, &mut actions);
        for action in actions {
            self.act(action, &ctx);
        }
        if let Some(choice) = self.chooser.show(&ctx) {
            self.chosen(choice);
        }
        let is_dragging = ctx.input(|i| i.pointer.any_down());
        if self.send_settings(false) || is_dragging {
            ctx.request_repaint_after_secs(0.1);
        }
    }

    fn panels(&mut self, ui: &mut egui::Ui, facts: &Facts, actions: &mut Vec<Action>) {
        let bar = egui::Frame::new()
            .fill(theme::PANEL)
            .inner_margin(egui::Margin::symmetric(8, 3));
        egui::Panel::top("menu bar").frame(bar).show(ui, |ui| {
            bars::menu_bar(
                ui,
                &self.model,
                facts,
                |command| self.is_on(command),
                actions,
            );
        });
        egui::Panel::bottom("status line")
            .frame(bar)
            .exact_size(26.0)
            .show(ui, |ui| {
                bars::status_line(ui, &self.model, &self.viewport, &self.gpu);
            });
        if let Some(error) = self.model.error.clone() {
            let frame = egui::Frame::new().fill(theme::ERROR_MUTED).inner_margin(10);
            egui::Panel::top("error").frame(frame).show(ui, |ui| {
                bars::error_banner(ui, &error, actions);
            });
        }
        let Some(scene) = self.model.scene.clone() else {
            let frame = egui::Frame::new().fill(theme::SUNKEN);
            egui::CentralPanel::default().frame(frame).show(ui, |ui| {
                let (models, thumbs) = (&self.models, &mut self.thumbs);
                start_page::show(
                    ui,
                    &self.model,
                    facts,
                    &self.recents,
                    models,
                    thumbs,
                    actions,
                );
            });
            return;
        };
        if self.shown.side_panel {
            egui::Panel::right("side panel")
                .frame(theme::panel_frame())
                .resizable(true)
                .default_size(theme::SIDE_PANEL)
                .size_range(264.0..=460.0)
                .show(ui, |ui| {
                    let known = Known {
                        models: &self.models,
                        last_used: self.recents.model(),
                    };
                    let panel = &mut self.side_panel;
                    panel.show(ui, &mut self.model, known, facts, actions);
                });
        }
        self.bottom_panels(ui, &scene, facts, actions);
        let frame = egui::Frame::new().fill(theme::SUNKEN);
        egui::CentralPanel::default().frame(frame).show(ui, |ui| {
            if self.viewport.has_drawable() {
                let crop = crop::of_text(&self.model.settings.crop);
                self.viewport.set_crop(crop);
                self.viewport(ui, &scene, facts, actions);
            } else {
                let thumbs = &mut self.thumbs;
                start_page::contact_sheet(ui, &self.model, &scene, thumbs, facts, actions);
            }
        });
    }

    fn bottom_panels(
        &mut self,
        ui: &mut egui::Ui,
        scene: &SceneInfo,
        facts: &Facts,
        actions: &mut Vec<Action>,
    ) {
        let frame = egui::Frame::new()
            .fill(theme::PANEL)
            .inner_margin(egui::Margin {
                left: 12,
                right: 12,
                top: 8,
                bottom: 0,
            });
        if self.shown.timeline && !self.model.snapshots.is_empty() {
            let shown = self.shown_snapshot();
            egui::Panel::bottom("timeline")
                .frame(frame)
                .exact_size(timeline::HEIGHT)
                .show(ui, |ui| {
                    timeline::show(ui, &self.model, shown, facts, &mut self.thumbs, actions);
                });
        }
        if self.shown.reel && !self.model.reel.is_empty() {
            egui::Panel::bottom("edited views")
                .frame(frame)
                .exact_size(reel::HEIGHT)
                .show(ui, |ui| {
                    reel::show(ui, &self.model, &scene.views, &mut self.thumbs, actions)
                });
        }
    }

    fn viewport(
        &mut self,
        ui: &mut egui::Ui,
        scene: &SceneInfo,
        facts: &Facts,
        actions: &mut Vec<Action>,
    ) {
        let is_live = self.model.is_running() && self.model.shown.is_none();
        match self.viewport.show(ui, scene, is_live) {
            Ok(output) => {
                self.viewport_error = None;
                if let (Some(camera), Some(worker)) = (output.camera, &self.worker) {
                    worker.slots().camera.put(camera);
                }
                if let Some(index) = output.look_through {
                    actions.push(Action::LookThrough(index));
                }
                if let Some(rect) = output.rect {
                    let viewport = &mut self.viewport;
                    bars::viewport_chips(ui, rect, &self.model, facts, viewport, actions);
                }
            }
            Err(e) => {
                let message = model::sentence(&e.to_string());
                let is_new = self.viewport_error.as_ref() != Some(&message);
                ui.painter().text(
                    ui.max_rect().center(),
                    egui::Align2::CENTER_CENTER,
                    "The scene cannot be drawn",
                    egui::FontId::proportional(14.0),
                    theme::TEXT_WEAK,
                );
                if is_new {
                    self.model.error = Some(message.clone());
                }
                self.viewport_error = Some(message);
            }
        }
    }

    fn overlays(&mut self, ctx: &egui::Context, facts: &Facts, actions: &mut Vec<Action>) {
        let thumbs = &mut self.thumbs;
        self.dialog.show(ctx, &self.model, facts, thumbs, actions);
        if let (Some(number), Some(scene)) = (self.inspected, &self.model.scene) {
            let views = scene.views.clone();
            reel::inspect(ctx, &self.model, number, &views, &mut self.thumbs, actions);
        }
        let waits = ctx.input(|i| !i.raw.hovered_files.is_empty());
        if waits {
            let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop hint"));
            let painter = ctx.layer_painter(layer);
            let rect = ctx.content_rect();
            painter.rect_filled(rect, 0.0, theme::OVERLAY);
            painter.text(
                rect.center(),
                egui::Align2::CENTER_CENTER,
                "Drop to open",
                egui::FontId::proportional(22.0),
                theme::TEXT_STRONG,
            );
        }
        if self.is_closing {
            theme::dialog("closing").show(ctx, |ui| {
                ui.set_width(320.0);
                ui.horizontal(|ui| {
                    ui.add(egui::Spinner::new());
                    ui.label("Finishing the current step and saving the project…");
                });
            });
        }
    }

    /// The first of what was dropped is opened; the rest is named.
    fn dropped_files(&mut self, ctx: &egui::Context) {
        let dropped: Vec<PathBuf> = ctx.input(|i| {
            i.raw
                .dropped_files
                .iter()
                .map(|f| f.path().to_owned())
                .collect()
        });
        let Some((first, rest)) = dropped.split_first() else {
            return;
        };
        if !rest.is_empty() {
            self.model.warn(format!(
                "only one thing can be open: {} was opened, {} dropped with it was not",
                first.display(),
                model::count(rest.len(), "other item")
            ));
        }
        self.open_when_idle(first);
    }
}
