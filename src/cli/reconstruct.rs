//! `luxedit reconstruct DATA -o PROJECT`: photos → scene.

use super::{driver::Driver, flags};
use crate::{
    Error, Result,
    settings::{Settings, jobs::RECONSTRUCT},
    worker,
};
use clap::{ArgMatches, Command};
use serde_json::json;

pub fn command() -> Command {
    flags::add(
        Command::new("reconstruct")
            .about("Reconstruct a scene from photos with poses")
            .arg(flags::input(
                "data",
                "DATA",
                "Capture: a COLMAP, nerfstudio, instant-ngp or Blender folder",
            ))
            .arg(flags::output("PROJECT", "Project folder to make").required(true)),
        RECONSTRUCT,
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let mut settings = Settings::default();
    flags::apply(matches, RECONSTRUCT, &mut settings)?;
    let data = flags::path(matches, "data");
    if worker::Project::is_project(&data) {
        return Err(Error::Invalid(format!(
            "{} is a project, and its scene stays as it is; name the capture that it was made from",
            data.display()
        )));
    }
    let output = flags::path(matches, "output");
    worker::Project::check_free(&output)?;
    let mut driver = Driver::start(matches.get_flag("json"))?;
    driver.settings(&settings)?;
    driver.send(worker::Command::Project(output))?;
    if !driver.run(worker::Command::Open(data))? {
        return Err(Error::Cancelled);
    }
    let finished = driver.run(worker::Command::Reconstruct)?;
    let has_eval = finished
        && driver
            .scene
            .as_ref()
            .is_some_and(|s| s.views.iter().any(|v| v.is_eval));
    if has_eval {
        driver.run(worker::Command::Evaluate)?;
    }
    driver.finish("reconstruct", Some(&settings), json!({}), &[])
}
