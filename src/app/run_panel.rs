//! Start, pause, resume, stop, and how far it is: the one place that says what the worker is doing.

use super::{
    Action,
    commands::{Facts, UiCommand},
    model::{Model, duration, thousands},
    plots, theme,
};
use crate::worker::{Job, Progress, RunState};
use eframe::egui;

/// A button for a command, disabled with the reason where it cannot be run.
pub fn command_button(
    ui: &mut egui::Ui,
    command: UiCommand,
    label: &str,
    is_primary: bool,
    facts: &Facts,
    actions: &mut Vec<Action>,
) -> egui::Response {
    let info = command.info();
    let refusal = (info.enabled)(facts).err();
    let button = if is_primary {
        theme::primary_button(label)
    } else {
        egui::Button::new(label)
    };
    let size = egui::vec2(ui.available_width(), theme::ROW_HEIGHT + 4.0);
    let response = ui
        .add_enabled_ui(refusal.is_none(), |ui| ui.add_sized(size, button))
        .inner;
    if response.clicked() {
        actions.push(Action::Run(command));
    }
    let tooltip = match info.keys(ui.ctx()) {
        Some(keys) => format!("{} ({keys})", info.tooltip),
        None => info.tooltip.to_owned(),
    };
    response
        .on_hover_text(tooltip)
        .on_disabled_hover_text(refusal.unwrap_or_default())
}

/// The buttons that fit the state of things.
pub fn buttons(ui: &mut egui::Ui, model: &Model, facts: &Facts, actions: &mut Vec<Action>) {
    match model.run {
        RunState::Running(Job::Reconstruct | Job::Edit) => ui.columns_const(|[left, right]| {
            command_button(left, UiCommand::Pause, "Pause", true, facts, actions);
            command_button(right, UiCommand::Stop, "Stop", false, facts, actions);
        }),
        RunState::Paused(_) => ui.columns_const(|[left, right]| {
            command_button(left, UiCommand::Resume, "Resume", true, facts, actions);
            command_button(right, UiCommand::Stop, "Stop", false, facts, actions);
        }),
        RunState::Running(_) => {
            command_button(ui, UiCommand::Stop, "Stop", false, facts, actions);
        }
        RunState::Stopping(_) => {
            command_button(ui, UiCommand::Stop, "Stopping…", false, facts, actions);
        }
        RunState::Idle => idle_buttons(ui, model, facts, actions),
    }
}

fn idle_buttons(ui: &mut egui::Ui, model: &Model, facts: &Facts, actions: &mut Vec<Action>) {
    let interrupted = model.scene.as_ref().and_then(|s| s.interrupted);
    if let Some((job, step)) = interrupted {
        let what = match job {
            Job::Edit => "edit",
            _ => "reconstruction",
        };
        let label = format!("Continue the {what} from step {}", thousands(step));
        command_button(ui, UiCommand::ResumeJob, &label, true, facts, actions);
    }
    if !model.has_splats {
        let is_next = interrupted.is_none();
        command_button(
            ui,
            UiCommand::Reconstruct,
            "Reconstruct",
            is_next,
            facts,
            actions,
        );
        return;
    }
    let label = if facts.shows_snapshot {
        "Start edit from this snapshot"
    } else {
        "Start edit"
    };
    let is_next = interrupted.is_none();
    command_button(ui, UiCommand::StartEdit, label, is_next, facts, actions);
    let label = UiCommand::TryOut.info().label;
    command_button(ui, UiCommand::TryOut, label, false, facts, actions);
}

/// Bar, speed, time left, what is going on inside the step, and the two lines.
pub fn progress(ui: &mut egui::Ui, model: &Model) {
    let Progress {
        done,
        total,
        steps_per_sec,
        eta_secs,
        ref detail,
        ..
    } = model.progress;
    if let Some(job) = model.job() {
        let waiting = model.progress.waiting.as_deref();
        let title = match (model.run, job) {
            (RunState::Running(_), _) if waiting.is_some() => "Waiting…",
            (RunState::Paused(_), _) => "Paused",
            (RunState::Stopping(_), _) => "Stopping…",
            (_, Job::Open) => "Opening…",
            (_, Job::Reconstruct) => "Reconstructing…",
            (_, Job::Edit) => "Editing…",
            (_, Job::Evaluate) => "Measuring…",
            (_, Job::EditImage) => "Editing a picture…",
            (_, Job::TryOut) => "Trying on one view…",
            (_, Job::Render) => "Rendering…",
            (_, Job::Poses) => "Finding poses…",
            (_, Job::Convert) => "Converting…",
        };
        ui.horizontal(|ui| {
            theme::section(ui, title);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if let (true, Some(eta)) = (model.is_running(), eta_secs) {
                    ui.label(theme::weak(format!("{} left", duration(eta))));
                }
            });
        });
        let share = if total == 0 {
            0.0
        } else {
            done as f32 / total as f32
        };
        let bar = egui::ProgressBar::new(share)
            .desired_height(8.0)
            .fill(theme::ACCENT)
            .corner_radius(4);
        ui.add(bar);
        if total > 0 {
            ui.horizontal(|ui| {
                let counts = format!("Step {} of {}", thousands(done), thousands(total));
                ui.label(theme::small(counts));
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if steps_per_sec > 0.0 {
                        ui.label(theme::small(speed(steps_per_sec)));
                    }
                });
            });
        }
        if let Some(reason) = waiting {
            waiting_note(ui, reason);
        } else if !detail.is_empty() {
            let detail = super::model::sentence(detail);
            ui.add(egui::Label::new(theme::small(detail)).truncate());
        }
    }
    if !model.note.is_empty() {
        ui.add(egui::Label::new(theme::small(&model.note)).wrap());
    }
    let has_run = !model.losses.points().is_empty();
    if has_run || matches!(model.job(), Some(Job::Reconstruct | Job::Edit)) {
        ui.add_space(4.0);
        plots::show(ui, &plots::LOSS, &model.losses);
    }
    if !model.reel.is_empty() || model.job() == Some(Job::Edit) {
        plots::show(ui, &plots::CONVERGENCE, &model.convergence);
    }
    if let Some(metrics) = model.metrics {
        ui.label(theme::small(format!(
            "Held out: PSNR {:.2} dB · SSIM {:.3}",
            metrics.psnr, metrics.ssim
        )))
        .on_hover_text("Measured on the views that training never sees");
    }
}

/// Why nothing goes on, where the person looks for how far it is.
pub fn waiting_note(ui: &mut egui::Ui, reason: &str) {
    egui::Frame::new()
        .fill(theme::WARNING_MUTED)
        .corner_radius(theme::CORNER)
        .inner_margin(8)
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(egui::RichText::new(reason).color(theme::WARNING));
        });
}

fn speed(steps_per_sec: f64) -> String {
    if steps_per_sec >= 0.95 {
        format!("{steps_per_sec:.1} steps/s")
    } else {
        format!("{:.1} s/step", 1.0 / steps_per_sec)
    }
}
