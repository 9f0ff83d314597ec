//! `luxedit render SCENE --cameras FILE -o FOLDER`: pictures of a scene; `--orbit N`: of a camera path around it; `--path
//! FILE`: of one that nerfstudio wrote. Also as an animation or a video; or the path itself, for nerfstudio.

use super::{driver::Driver, flags};
use crate::{
    Error, Result,
    edit::Look,
    settings::{Settings, jobs::RENDER},
    tools::Program,
    worker::{self, RenderFormat},
};
use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use std::path::PathBuf;

const FORMATS: [(&str, RenderFormat); 6] = [
    ("png", RenderFormat::Png),
    ("png16", RenderFormat::DepthPng),
    ("exr", RenderFormat::Exr),
    ("gif", RenderFormat::Gif),
    ("video", RenderFormat::Video),
    ("path", RenderFormat::CameraPath),
];

pub fn command() -> Command {
    let command = Command::new("render")
        .about("Render pictures of a scene")
        .arg(flags::input("scene", "SCENE", "Splat file or project"))
        .arg(
            Arg::new("cameras")
                .long("cameras")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Capture whose cameras are used [default: the project's own]"),
        )
        .arg(
            Arg::new("orbit")
                .long("orbit")
                .value_name("N")
                .value_parser(value_parser!(u32).range(1..=10_000))
                .help("N pictures of a smooth loop among those cameras instead"),
        )
        .arg(
            Arg::new("path")
                .long("path")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with_all(["cameras", "orbit"])
                .help("Camera path of nerfstudio (JSON), in the capture's frame, whose pictures are made instead"),
        )
        .arg(
            Arg::new("fps")
                .long("fps")
                .value_name("N")
                .value_parser(frames_per_sec)
                .help("Pictures a second of an animation or video [default: the path's, else 12.5 for a GIF, 24 for a video]"),
        )
        .arg(
            Arg::new("size")
                .long("size")
                .value_name("N")
                .value_parser(value_parser!(u32).range(8..=16_384))
                .help("Longer side of the pictures, pixels [default: the cameras' own]"),
        )
        .arg(
            flags::output(
                "PATH",
                "Folder for the pictures; or a file: NAME.gif, NAME.mp4 (or .mov, .mkv, .webm; by ffmpeg), or NAME.json for \
                 the cameras as a camera path of nerfstudio",
            )
            .required(true),
        )
        .arg(
            Arg::new("show")
                .long("show")
                .value_name("WHAT")
                .value_parser(Look::ALL.map(Look::name))
                .default_value(Look::Color.name())
                .help(
                    "color; depth (along the camera's axis), accumulation (opacity) or normals: as pictures, or with \
                     --format exr as values (world units, 0 to 1, world axes)",
                ),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("WHICH")
                .value_parser(FORMATS.map(|(name, _)| name))
                .help(
                    "png: eight bits; png16: depths as nerfstudio reads them, thousandths of the capture's unit in sixteen \
                     bits (with --show depth); exr: 32-bit float, for exact comparison; gif: one animation; video; path: the cameras \
                     alone [default: what PATH ends in, else png]",
                ),
        );
    flags::add(command, RENDER)
}

fn frames_per_sec(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.1..=240.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.1 to 240".into()),
    }
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let output = flags::path(matches, "output");
    let named = matches
        .get_one::<String>("format")
        .and_then(|name| FORMATS.iter().find(|(n, _)| n == name));
    let format = match named {
        Some((_, format)) => *format,
        None => RenderFormat::of_film(&output).unwrap_or(RenderFormat::Png),
    };
    let shown = matches.get_one::<String>("show");
    let look = Look::ALL
        .into_iter()
        .find(|look| shown.is_some_and(|name| name == look.name()))
        .unwrap_or_default();
    let mut settings = Settings::default();
    flags::apply(matches, RENDER, &mut settings)?;
    if format == RenderFormat::Video {
        // Before minutes of rendering.
        Program::FFMPEG.find(&settings.ffmpeg)?;
    }
    let mut driver = Driver::start(matches.get_flag("json"))?;
    driver.settings(&settings)?;
    if !driver.run(worker::Command::OpenReadOnly(flags::path(matches, "scene")))? {
        return Err(Error::Cancelled);
    }
    if let Some(scene) = &driver.scene {
        // A project brings settings of its own.
        settings = scene.settings.clone();
        flags::apply(matches, RENDER, &mut settings)?;
        driver.settings(&settings)?;
    }
    driver.run(worker::Command::Render {
        cameras: matches.get_one::<PathBuf>("cameras").cloned(),
        orbit: matches.get_one::<u32>("orbit").copied(),
        path: matches.get_one::<PathBuf>("path").cloned(),
        frames_per_sec: matches.get_one::<f64>("fps").copied(),
        side: matches.get_one::<u32>("size").copied(),
        output,
        format,
        look,
    })?;
    driver.finish("render", None, json!({}), &[])
}
