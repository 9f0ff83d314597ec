//! The one table of commands. A row is a menu entry, a shortcut, a line of the shortcuts dialog and an entry of the
//! command palette; whether it can be run now, and if not why, is decided here for all of them.

use crate::worker::{Job, RunState};
use eframe::egui::{self, Key, KeyboardShortcut, Modifiers};

/// Everything that can be asked for without a further argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UiCommand {
    OpenDemo,
    OpenFolder,
    OpenFile,
    Save,
    SaveAs,
    Export,
    ExportAsSplats,
    ExportMesh,
    ExportFilm,
    ChooseColmap,
    ChooseFfmpeg,
    Quit,
    Reconstruct,
    StartEdit,
    MakeViews,
    TurnUpright,
    TryOut,
    ResumeJob,
    Pause,
    Resume,
    Stop,
    Evaluate,
    Home,
    Focus,
    PreviousView,
    NextView,
    LeaveView,
    ToggleCameras,
    ToggleWipe,
    ShowColor,
    ShowDepth,
    ShowAccumulation,
    ShowNormals,
    ToggleReel,
    ToggleTimeline,
    ToggleSidePanel,
    PreviousSnapshot,
    NextSnapshot,
    BackToLive,
    RestoreSnapshot,
    PinSnapshot,
    Palette,
    Shortcuts,
    Warnings,
    About,
    GetModel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Menu {
    File,
    Run,
    View,
    Timeline,
    Help,
}

impl Menu {
    pub const ALL: [Self; 5] = [
        Self::File,
        Self::Run,
        Self::View,
        Self::Timeline,
        Self::Help,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::Run => "Run",
            Self::View => "View",
            Self::Timeline => "Timeline",
            Self::Help => "Help",
        }
    }
}

/// What decides whether a command can be run.
#[derive(Clone, Debug)]
pub struct Facts {
    pub has_scene: bool,
    /// Views of the capture; 0 for a splat file.
    pub views: usize,
    pub has_splats: bool,
    /// The scene is a Luxen.
    pub is_luxen: bool,
    pub has_project: bool,
    pub run: RunState,
    /// Why the settings do not make an edit.
    pub edit_refusal: Option<String>,
    pub has_interrupted_job: bool,
    pub snapshots: usize,
    pub shows_snapshot: bool,
    pub can_go_back: bool,
    pub looks_through_view: bool,
    /// There is something to wipe against.
    pub has_before: bool,
    pub warnings: usize,
    /// Why the demo cannot be opened.
    pub demo_refusal: Option<String>,
}

type Enabled = fn(&Facts) -> Result<(), String>;

/// One row of the table.
pub struct CommandInfo {
    pub command: UiCommand,
    pub menu: Menu,
    /// Starts a new group in the menu.
    pub group: bool,
    pub label: &'static str,
    pub shortcut: Option<KeyboardShortcut>,
    pub tooltip: &'static str,
    /// Why not, where it cannot be run.
    pub enabled: Enabled,
}

impl CommandInfo {
    /// The keys, as the platform writes them.
    pub fn keys(&self, ctx: &egui::Context) -> Option<String> {
        let shortcut = self.shortcut?;
        let modifiers = ctx.format_modifiers(shortcut.modifiers);
        let key = match shortcut.logical_key {
            Key::Comma => ",",
            Key::Period => ".",
            Key::ArrowLeft => "Left",
            Key::ArrowRight => "Right",
            Key::Escape => "Esc",
            key => key.name(),
        };
        let joint = if modifiers.is_empty() { "" } else { "+" };
        Some(format!("{modifiers}{joint}{key}"))
    }
}

const fn plain(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::NONE, key))
}
const fn command(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::COMMAND, key))
}
const fn command_shift(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(
        Modifiers::COMMAND.plus(Modifiers::SHIFT),
        key,
    ))
}

fn always(_: &Facts) -> Result<(), String> {
    Ok(())
}

fn unless(refused: bool, reason: &str) -> Result<(), String> {
    if refused {
        Err(reason.to_owned())
    } else {
        Ok(())
    }
}

fn needs_scene(f: &Facts) -> Result<(), String> {
    unless(!f.has_scene, "Open a capture or a scene first")
}

fn needs_splats(f: &Facts) -> Result<(), String> {
    needs_scene(f)?;
    unless(
        !f.has_splats,
        "Reconstruct the capture first: there is no scene yet",
    )
}

fn needs_idle(f: &Facts) -> Result<(), String> {
    match f.run {
        RunState::Idle => Ok(()),
        RunState::Stopping(_) => Err("The job is being stopped".to_owned()),
        RunState::Running(job) | RunState::Paused(job) => {
            Err(format!("{} is under way: stop it first", job_label(job)))
        }
    }
}

fn needs_views(f: &Facts) -> Result<(), String> {
    needs_scene(f)?;
    unless(
        f.views == 0,
        "A splat file alone has no photos: make views of it first, or open the capture it was made from",
    )
}

fn needs_snapshot(f: &Facts) -> Result<(), String> {
    unless(!f.shows_snapshot, "Choose a snapshot on the timeline first")
}

/// What a job is called in sentences.
pub fn job_label(job: Job) -> &'static str {
    match job {
        Job::Open => "Opening",
        Job::Reconstruct => "The reconstruction",
        Job::Edit => "The edit",
        Job::Evaluate => "The evaluation",
        Job::EditImage => "The picture edit",
        Job::TryOut => "A try-out",
        Job::Render => "The rendering",
        Job::Poses => "The search for poses",
        Job::Convert => "The conversion",
    }
}

macro_rules! commands {
    ($($command:ident, $menu:ident $(/ $group:ident)?, $label:literal, $shortcut:expr, $tooltip:literal, $enabled:expr;)+) => {
        /// The table, in the order of the menus.
        pub static COMMANDS: &[CommandInfo] = &[$(CommandInfo {
            command: UiCommand::$command,
            menu: Menu::$menu,
            group: commands!(@group $($group)?),
            label: $label,
            shortcut: $shortcut,
            tooltip: $tooltip,
            enabled: $enabled,
        }),+];
        impl UiCommand {
            pub fn info(self) -> &'static CommandInfo {
                match self {
                    $(Self::$command => &COMMANDS[commands::$command],)+
                }
            }
        }
        #[expect(non_upper_case_globals, reason = "named as the variants they index")]
        mod commands {
            commands!(@index 0usize; $($command)+);
        }
    };
    (@group) => { false };
    (@group $group:ident) => { true };
    (@index $n:expr; $head:ident $($tail:ident)*) => {
        pub const $head: usize = $n;
        commands!(@index $n + 1; $($tail)*);
    };
    (@index $n:expr;) => {};
}

commands! {
    OpenDemo, File, "Open demo", None, "The scene that comes with luxedit, ready to edit",
        |f| { needs_idle(f)?; f.demo_refusal.clone().map_or(Ok(()), Err) };
    OpenFolder, File, "Open capture folder…", command(Key::O),
        "A folder of photos, with poses (COLMAP, nerfstudio, Metashape, RealityCapture, …) or without, or a luxedit project", needs_idle;
    OpenFile, File, "Open file…", command_shift(Key::O),
        "A splat file, a capture's cameras (transforms.json, .xml, .csv) or .zip, or a video", needs_idle;
    Save, File / group, "Save project", command(Key::S),
        "Write the project now; it is also saved by itself while a job runs",
        |f| { needs_scene(f)?; unless(!f.has_project, "Choose a place with \"Save project as…\" first") };
    SaveAs, File, "Save project as…", command_shift(Key::S),
        "Keep the project in a folder of your choice", needs_scene;
    Export, File / group, "Export PLY…", command(Key::E),
        "Write the scene that is shown, live or snapshot, as a splat file that other tools open",
        |f| {
            needs_splats(f)?;
            unless(f.is_luxen, "A Luxen has no splats: \"Convert to splats…\" makes some")
        };
    ExportAsSplats, File, "Convert to splats…", None,
        "Make splats that look like this Luxen, and write them as a splat file; takes some minutes",
        |f| {
            needs_splats(f)?;
            unless(!f.is_luxen, "The scene is made of splats: \"Export PLY…\" writes them")?;
            needs_idle(f)
        };
    ExportMesh, File, "Export mesh…", None,
        "Write the surface with its colors as PLY, OBJ or GLB",
        |f| {
            needs_splats(f)?;
            if f.is_luxen {
                needs_views(f)?;
            }
            needs_idle(f)
        };
    ExportFilm, File, "Export film…", None,
        "A loop around the scene as a video (by ffmpeg), an animated GIF, or a camera path for nerfstudio",
        |f| { needs_views(f)?; needs_splats(f)?; needs_idle(f) };
    ChooseColmap, File / group, "Choose COLMAP…", None,
        "The program that finds where photos were taken, where it is not on the PATH", needs_idle;
    ChooseFfmpeg, File, "Choose ffmpeg…", None,
        "The program that reads and writes videos, where it is not on the PATH", needs_idle;
    Quit, File / group, "Quit", command(Key::Q), "Stop, save and close", always;
    Reconstruct, Run, "Reconstruct", None, "Make a scene of the photos",
        |f| { needs_views(f)?; needs_idle(f) };
    StartEdit, Run, "Start edit", command(Key::Enter), "Turn the scene into what the instruction says",
        |f| {
            needs_views(f)?;
            needs_splats(f)?;
            needs_idle(f)?;
            f.edit_refusal.clone().map_or(Ok(()), Err)
        };
    TryOut, Run, "Try on one view…", command(Key::T),
        "See what an instruction makes of one view, at several settings, before the scene learns it",
        |f| { needs_views(f)?; needs_idle(f) };
    ResumeJob, Run, "Continue interrupted job", None,
        "Go on with the job that this project was interrupted in",
        |f| { needs_idle(f)?; unless(!f.has_interrupted_job, "Nothing was interrupted") };
    MakeViews, Run, "Make views to edit", None,
        "Pictures of this splat file from all around; an edit starts from them as from photos",
        |f| { needs_splats(f)?; needs_idle(f)?; unless(f.views > 0, "This scene has photos already") };
    Pause, Run / group, "Pause", plain(Key::Space), "Hold the job where it is",
        |f| unless(
            !matches!(f.run, RunState::Running(Job::Reconstruct | Job::Edit)), "Nothing is running");
    Resume, Run, "Resume", plain(Key::Space), "Go on with the paused job",
        |f| unless(!matches!(f.run, RunState::Paused(_)), "Nothing is paused");
    Stop, Run, "Stop", command(Key::Period), "End the job and keep what it reached",
        |f| match f.run {
            RunState::Running(_) | RunState::Paused(_) => Ok(()),
            RunState::Stopping(_) => Err("Stopping: the current step is being finished".to_owned()),
            RunState::Idle => Err("Nothing is running".to_owned()),
        };
    GetModel, Run / group, "Get model…", None,
        "Fetch an edit model from the Hugging Face Hub", always;
    Evaluate, Run / group, "Measure quality", None, "PSNR and SSIM on the held-out views",
        |f| { needs_views(f)?; needs_splats(f)?; needs_idle(f) };
    Home, View, "Home view", plain(Key::Home), "Back to where the camera stood at first", needs_splats;
    Focus, View, "Focus on the scene", plain(Key::F),
        "Turn to the scene's centre; double-click a surface to turn to it", needs_splats;
    TurnUpright, View, "Turn another axis up", plain(Key::U),
        "Files of different tools stand, lie or hang; press until this one stands. Views that are made of it remember, the file itself does not",
        |f| { needs_splats(f)?; unless(f.views > 0, "Photos say which way is up") };
    PreviousView, View / group, "Previous training view", plain(Key::Comma),
        "Look through the camera of the photo before this one",
        |f| { needs_views(f)?; needs_splats(f) };
    NextView, View, "Next training view", plain(Key::Period),
        "Look through the camera of the photo after this one",
        |f| { needs_views(f)?; needs_splats(f) };
    LeaveView, View, "Leave training view", plain(Key::Escape), "Move freely again",
        |f| unless(!f.looks_through_view, "The camera is free already");
    ToggleCameras, View / group, "Show capture cameras", plain(Key::C),
        "Draw where the photos were taken; click one to look through it", needs_views;
    ToggleWipe, View, "Compare before and after", plain(Key::B),
        "A wipe between now and before: the photo, when looking through a training view, else the scene before the edit",
        |f| { needs_splats(f)?; unless(!f.has_before, "Nothing to compare with: look through a training view, or start an edit") };
    ShowColor, View / group, "Show colors", None, "The scene as it looks", needs_splats;
    ShowDepth, View, "Show depth", None, "How far away things are: the nearer the brighter", needs_splats;
    ShowAccumulation, View, "Show accumulation", None, "How opaque things are: white lets nothing through", needs_splats;
    ShowNormals, View, "Show normals", None, "Which way surfaces face: red, green and blue are x, y and z", needs_splats;
    ToggleReel, View / group, "Show edited views", plain(Key::V), "The strip of edited views", always;
    ToggleTimeline, View, "Show timeline", plain(Key::T), "The snapshots of the run", always;
    ToggleSidePanel, View, "Show side panel", plain(Key::N), "Instruction, progress and settings", always;
    PreviousSnapshot, Timeline, "Previous snapshot", plain(Key::ArrowLeft), "Scrub back",
        |f| unless(!f.can_go_back, "This is the first state");
    NextSnapshot, Timeline, "Next snapshot", plain(Key::ArrowRight), "Scrub forward; after the last one comes the live scene",
        |f| unless(!f.shows_snapshot, "This is the live scene");
    BackToLive, Timeline, "Back to live", plain(Key::L), "Show the live scene again",
        |f| unless(!f.shows_snapshot, "This is the live scene");
    RestoreSnapshot, Timeline / group, "Restore snapshot", None,
        "Make the shown snapshot the live scene; a job under way is stopped, later states stay on the timeline",
        needs_snapshot;
    PinSnapshot, Timeline, "Pin or unpin snapshot", plain(Key::P),
        "A pinned snapshot is never thinned out", needs_snapshot;
    Palette, Help, "Command palette…", command(Key::K), "Find any command by its name", always;
    Shortcuts, Help, "Keyboard shortcuts…", plain(Key::F1), "All shortcuts", always;
    Warnings, Help, "Warnings…", None, "What was ignored, repaired or could not be done",
        |f| unless(f.warnings == 0, "There are no warnings");
    About, Help / group, "About luxedit…", None, "Version, credits, licences", always;
}
