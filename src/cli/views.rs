//! `luxedit views SCENE -o FOLDER`: a capture made of a splat file, so that it can be edited.

use super::{driver::Driver, flags};
use crate::{
    Error, Result,
    settings::{Settings, jobs::VIEWS},
    worker,
};
use clap::{ArgMatches, Command};
use serde_json::json;

pub fn command() -> Command {
    flags::add(
        Command::new("views")
            .about("Make a capture of a splat file, to edit it: pictures from all around, with their cameras")
            .arg(flags::input("scene", "SCENE", "Splat file"))
            .arg(flags::output("FOLDER", "Capture to write; edit it with --scene SCENE").required(true)),
        VIEWS,
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let mut settings = Settings::default();
    flags::apply(matches, VIEWS, &mut settings)?;
    let mut driver = Driver::start(matches.get_flag("json"))?;
    driver.settings(&settings)?;
    if !driver.run(worker::Command::OpenReadOnly(flags::path(matches, "scene")))? {
        return Err(Error::Cancelled);
    }
    let folder = flags::path(matches, "output");
    let is_done = driver.run(worker::Command::MakeViews {
        stance: None,
        folder: Some(folder.clone()),
        opens: false,
    })?;
    if !is_done {
        return Err(Error::Cancelled);
    }
    let made = crate::formats::inspect(&folder)?;
    let views = match made {
        crate::formats::Info::Capture(capture) => capture.usable_frames,
        _ => 0,
    };
    driver.finish("views", Some(&settings), json!({ "views": views }), &[])
}
