//! `luxedit edit DATA|PROJECT --prompt P -o PROJECT`: turn a scene by instruction. A capture without a scene is
//! reconstructed first.

use super::{driver::Driver, flags};
use crate::{
    Error, Result,
    settings::{Settings, jobs::EDIT},
    worker::{self, Project},
};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;
use std::path::PathBuf;

pub fn command() -> Command {
    flags::add(
        Command::new("edit")
            .about("Edit a scene by instruction (Instruct-GS2GS)")
            .arg(flags::input("data", "DATA", "Project, or capture (reconstructed first unless --scene is given)"))
            .arg(flags::output(
                "PROJECT",
                "Project folder to make; a project is edited in place without it",
            ))
            .arg(
                Arg::new("scene")
                    .long("scene")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("Splat file of the capture's scene, in the capture's frame"),
            )
            .arg(
                Arg::new("resume")
                    .long("resume")
                    .action(ArgAction::SetTrue)
                    .help("Go on with the job that the project was interrupted in"),
            ),
        EDIT,
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let data = flags::path(matches, "data");
    let output = matches.get_one::<PathBuf>("output").cloned();
    let resume = matches.get_flag("resume");
    let is_project = Project::is_project(&data);
    let mut settings = Settings::default();
    flags::apply(matches, EDIT, &mut settings)?;
    if !is_project {
        if resume {
            return Err(Error::Invalid(format!(
                "--resume needs a project folder; {} is none",
                data.display()
            )));
        }
        if output.is_none() {
            return Err(Error::invalid("say where the project goes: -o NAME.luxedit"));
        }
        settings.check_edit()?;
    }
    if let Some(output) = &output {
        Project::check_free(output)?;
    }
    let mut driver = Driver::start(matches.get_flag("json"))?;
    if !is_project {
        driver.settings(&settings)?;
    }
    if let (Some(output), false) = (&output, is_project) {
        driver.send(worker::Command::Project(output.clone()))?;
    }
    if !driver.run(worker::Command::Open(data.clone()))? {
        return Err(Error::Cancelled);
    }
    if let Some(scene) = &driver.scene
        && is_project
    {
        settings = scene.settings.clone();
        flags::apply(matches, EDIT, &mut settings)?;
    }
    if let (Some(output), true) = (output, is_project) {
        driver.send(worker::Command::Project(output))?;
    }
    if let Some(file) = matches.get_one::<PathBuf>("scene") {
        driver.run(worker::Command::AttachSplats(file.clone()))?;
    }
    if resume {
        driver.run(worker::Command::ResumeJob)?;
        return driver.finish("edit", Some(&settings), json!({ "resumed": true }), &[]);
    }
    settings.check_edit()?;
    driver.settings(&settings)?;
    let has_splats = matches.contains_id("scene")
        || driver.scene.as_ref().is_some_and(|s| s.has_splats);
    let mut go_on = true;
    if !has_splats {
        eprintln!("luxedit: the capture has no scene yet; reconstructing it first");
        go_on = driver.run(worker::Command::Reconstruct)?;
    }
    if go_on {
        driver.run(worker::Command::Edit)?;
    }
    driver.finish("edit", Some(&settings), json!({ "resumed": false }), &[])
}
