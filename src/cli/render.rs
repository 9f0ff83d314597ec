//! `luxedit render SCENE --cameras FILE -o FOLDER`: pictures of a scene; `--orbit N`: of a camera path around it, also as
//! an animation.

use super::{driver::Driver, flags};
use crate::{
    Error, Result,
    edit::Look,
    settings::Settings,
    worker::{self, RenderFormat},
};
use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use std::path::{Path, PathBuf};

const FORMATS: [(&str, RenderFormat); 3] = [
    ("png", RenderFormat::Png),
    ("exr", RenderFormat::Exr),
    ("gif", RenderFormat::Gif),
];

pub fn command() -> Command {
    Command::new("render")
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
            Arg::new("size")
                .long("size")
                .value_name("N")
                .value_parser(value_parser!(u32).range(8..=16_384))
                .help("Longer side of the pictures, pixels [default: the cameras' own]"),
        )
        .arg(
            flags::output("PATH", "Folder for the pictures, or a file NAME.gif for an animation")
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
                    "png: eight bits; exr: 32-bit float, for exact comparison; gif: one animation [default: gif where PATH \
                     ends so, else png]",
                ),
        )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let output = flags::path(matches, "output");
    let named = matches
        .get_one::<String>("format")
        .and_then(|name| FORMATS.iter().find(|(n, _)| n == name));
    let format = match named {
        Some((_, format)) => *format,
        None if is_gif(&output) => RenderFormat::Gif,
        None => RenderFormat::Png,
    };
    let shown = matches.get_one::<String>("show");
    let look = Look::ALL
        .into_iter()
        .find(|look| shown.is_some_and(|name| name == look.name()))
        .unwrap_or_default();
    let mut driver = Driver::start(matches.get_flag("json"))?;
    driver.settings(&Settings::default())?;
    if !driver.run(worker::Command::OpenReadOnly(flags::path(matches, "scene")))? {
        return Err(Error::Cancelled);
    }
    driver.run(worker::Command::Render {
        cameras: matches.get_one::<PathBuf>("cameras").cloned(),
        orbit: matches.get_one::<u32>("orbit").copied(),
        side: matches.get_one::<u32>("size").copied(),
        output,
        format,
        look,
    })?;
    driver.finish("render", None, json!({}), &[])
}

fn is_gif(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gif"))
}
