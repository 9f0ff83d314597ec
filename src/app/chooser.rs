//! Asking for a path. The native dialog runs on a thread of its own, so that the window goes on drawing; where the
//! desktop offers none (no portal, a bare X server), a text field asks instead.

use super::theme;
use crossbeam_channel::{Receiver, Sender, bounded};
use eframe::egui;
use std::path::PathBuf;

/// What a path is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    OpenFolder,
    OpenFile,
    SaveProject,
    ExportPly,
    ExportAsSplats,
    ExportMesh,
    ExportFilm,
    EditModel,
    Colmap,
    Ffmpeg,
}

impl Purpose {
    fn title(self) -> &'static str {
        match self {
            Self::OpenFolder => "Open capture folder",
            Self::OpenFile => "Open file",
            Self::SaveProject => "Save project as",
            Self::ExportPly => "Export PLY",
            Self::ExportAsSplats => "Convert to splats",
            Self::ExportMesh => "Export mesh",
            Self::ExportFilm => "Export film",
            Self::EditModel => "Choose edit model",
            Self::Colmap => "Choose COLMAP",
            Self::Ffmpeg => "Choose ffmpeg",
        }
    }

    fn confirm(self) -> &'static str {
        match self {
            Self::OpenFolder | Self::OpenFile => "Open this path",
            Self::SaveProject => "Save here",
            Self::ExportPly | Self::ExportAsSplats | Self::ExportMesh | Self::ExportFilm => {
                "Export here"
            }
            Self::EditModel => "Use this model",
            Self::Colmap | Self::Ffmpeg => "Use this program",
        }
    }

    fn explanation(self) -> &'static str {
        match self {
            Self::OpenFolder => "A folder of photos, with poses or without, or a luxedit project",
            Self::OpenFile => {
                "A splat file, a capture's cameras (transforms.json, .xml, .csv) or .zip, or a video"
            }
            Self::SaveProject => "A new folder, such as /home/me/statue.luxedit",
            Self::ExportPly => "A new file, such as /home/me/statue.ply",
            Self::ExportMesh => "A new file; its ending says the format: .glb, .ply or .obj",
            Self::ExportAsSplats => {
                "A new file; its ending says the format, such as /home/me/statue.ply or .spz"
            }
            Self::ExportFilm => {
                "A new file: .mp4 for a video, .gif for an animation, .json for nerfstudio's camera path"
            }
            Self::EditModel => "The folder of an InstructPix2Pix model in diffusers layout",
            Self::Colmap => "The program, such as /usr/local/bin/colmap, or COLMAP.bat on Windows",
            Self::Ffmpeg => "The program, such as /usr/local/bin/ffmpeg, or ffmpeg.exe on Windows",
        }
    }
}

/// A path that was chosen.
pub struct Choice {
    pub purpose: Purpose,
    pub path: PathBuf,
}

struct TextDialog {
    purpose: Purpose,
    text: String,
    asks_focus: bool,
}

/// The dialogs of one window; at most one is open.
pub struct Chooser {
    native: bool,
    open: Option<Purpose>,
    sender: Sender<Option<Choice>>,
    receiver: Receiver<Option<Choice>>,
    text: Option<TextDialog>,
}

impl Chooser {
    /// `native: false` always asks with the text field.
    pub fn new(native: bool) -> Self {
        let (sender, receiver) = bounded(4);
        Self {
            native,
            open: None,
            sender,
            receiver,
            text: None,
        }
    }

    /// Native dialogs where the desktop has them.
    pub fn detect() -> Self {
        Self::new(has_native_dialogs())
    }

    /// Ask for a path; `suggestion` is a file or folder name for a new file.
    pub fn ask(&mut self, purpose: Purpose, suggestion: &str, ctx: &egui::Context) {
        if self.open.is_some() || self.text.is_some() {
            return;
        }
        if !self.native {
            self.text = Some(TextDialog {
                purpose,
                text: suggestion.to_owned(),
                asks_focus: true,
            });
            return;
        }
        self.open = Some(purpose);
        let dialog = rfd::AsyncFileDialog::new().set_title(purpose.title());
        let sender = self.sender.clone();
        let ctx = ctx.clone();
        let dialog: std::pin::Pin<Box<dyn Future<Output = Option<rfd::FileHandle>> + Send>> =
            match purpose {
                Purpose::OpenFolder | Purpose::EditModel => Box::pin(dialog.pick_folder()),
                Purpose::Colmap | Purpose::Ffmpeg => Box::pin(dialog.pick_file()),
                Purpose::OpenFile => Box::pin(
                    dialog
                        .add_filter(
                            "Scenes and captures",
                            &[
                                "ply", "splat", "ksplat", "spz", "sog", "gltf", "glb", "json",
                                "npy", "xml", "csv", "zip", "mp4", "mov", "m4v", "mkv", "webm",
                            ],
                        )
                        .add_filter("All files", &["*"])
                        .pick_file(),
                ),
                Purpose::ExportFilm => Box::pin(
                    dialog
                        .set_file_name(suggestion)
                        .add_filter("Films", &["mp4", "gif", "webm", "mov", "mkv", "json"])
                        .save_file(),
                ),
                Purpose::SaveProject => Box::pin(dialog.set_file_name(suggestion).save_file()),
                Purpose::ExportMesh => Box::pin(
                    dialog
                        .set_file_name(suggestion)
                        .add_filter("Meshes", &["glb", "ply", "obj"])
                        .save_file(),
                ),
                Purpose::ExportPly | Purpose::ExportAsSplats => Box::pin(
                    dialog
                        .set_file_name(suggestion)
                        .add_filter(
                            "Splat files",
                            &["ply", "spz", "sog", "splat", "glb", "html"],
                        )
                        .save_file(),
                ),
            };
        std::thread::spawn(move || {
            let chosen = pollster::block_on(dialog).map(|handle| Choice {
                purpose,
                path: handle.path().to_owned(),
            });
            // The window may be gone by now; then nobody waits for the answer.
            if sender.send(chosen).is_ok() {
                ctx.request_repaint();
            }
        });
    }

    /// The text field is open.
    pub fn asks_in_window(&self) -> bool {
        self.text.is_some()
    }

    /// Show the text field where one is asked for, and return what was chosen since the last call.
    pub fn show(&mut self, ctx: &egui::Context) -> Option<Choice> {
        if let Ok(answer) = self.receiver.try_recv() {
            self.open = None;
            if answer.is_some() {
                return answer;
            }
        }
        let dialog = self.text.as_mut()?;
        let mut answer = None;
        let mut cancelled = false;
        let modal = theme::dialog("path dialog").show(ctx, |ui| {
            ui.set_width(440.0);
            ui.heading(dialog.purpose.title());
            ui.label(theme::weak(dialog.purpose.explanation()));
            ui.add_space(theme::GAP);
            let field = ui
                .add(
                    egui::TextEdit::singleline(&mut dialog.text)
                        .desired_width(f32::INFINITY)
                        .hint_text("Path"),
                )
                .accessible_name("Path");
            if std::mem::take(&mut dialog.asks_focus) {
                field.request_focus();
            }
            let entered = field.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            ui.add_space(theme::GAP);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let text = dialog.text.trim();
                let confirm = ui.add_enabled(
                    !text.is_empty(),
                    theme::primary_button(dialog.purpose.confirm()),
                );
                if confirm.clicked() || (entered && !text.is_empty()) {
                    answer = Some(Choice {
                        purpose: dialog.purpose,
                        path: text.into(),
                    });
                }
                cancelled = ui.button("Cancel").clicked();
            });
        });
        if answer.is_some() || cancelled || modal.should_close() {
            self.text = None;
        }
        answer
    }
}

fn has_native_dialogs() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    let bus = std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some()
        || std::env::var_os("XDG_RUNTIME_DIR")
            .is_some_and(|folder| PathBuf::from(folder).join("bus").exists());
    let zenity = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join("zenity").is_file())
    });
    bus || zenity
}
