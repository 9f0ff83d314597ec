//! `luxedit render SCENE --cameras FILE -o FOLDER`: pictures of a scene.

use super::{driver::Driver, flags};
use crate::{
    Error, Result,
    settings::Settings,
    worker::{self, RenderFormat},
};
use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use std::path::PathBuf;

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
        .arg(flags::output("FOLDER", "Folder for the pictures").required(true))
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("WHICH")
                .value_parser(["png", "exr"])
                .default_value("png")
                .help("png: eight bits; exr: 32-bit float, for exact comparison"),
        )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let format = match matches.get_one::<String>("format").map(String::as_str) {
        Some("exr") => RenderFormat::Exr,
        _ => RenderFormat::Png,
    };
    let mut driver = Driver::start(matches.get_flag("json"))?;
    driver.settings(&Settings::default())?;
    if !driver.run(worker::Command::OpenReadOnly(flags::path(matches, "scene")))? {
        return Err(Error::Cancelled);
    }
    driver.run(worker::Command::Render {
        cameras: matches.get_one::<PathBuf>("cameras").cloned(),
        folder: flags::path(matches, "output"),
        format,
    })?;
    driver.finish("render", None, json!({}), &[])
}
