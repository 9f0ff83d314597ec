//! `luxedit edit DATA|PROJECT --prompt P -o PROJECT`: turn a scene by instruction. A capture without a scene is
//! reconstructed first.

use super::out::tell;
use super::{choice, driver::Driver, flags};
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
            .about("Edit a scene by instruction (Instruct-GS2GS, Instruct-NeRF2NeRF)")
            .arg(flags::input(
                "data",
                "DATA",
                "Project, or capture (reconstructed first unless --scene is given)",
            ))
            .arg(flags::output(
                "PROJECT",
                "Project folder to make; a project is edited in place without it",
            ))
            .arg(
                Arg::new("scene")
                    .long("scene")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("Scene of the capture, in its frame: a splat file, or a run of nerfstudio's"),
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
    check_flags(matches, is_project, resume)?;
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
            return Err(Error::invalid(
                "say where the project goes: -o NAME.luxedit",
            ));
        }
        settings.check_prompt_and_model()?;
    }
    if let Some(output) = &output {
        Project::check_free(output)?;
    }
    let mut driver = Driver::start(matches.get_flag("json"))?;
    if !is_project {
        settings = choice::settings(&mut driver, matches, EDIT, Settings::default(), true)?;
        settings.check_edit()?;
        driver.settings(&settings)?;
        if let Some(output) = &output {
            driver.send(worker::Command::Project(output.clone()))?;
        }
    }
    let scene = matches.get_one::<PathBuf>("scene").cloned();
    let open = match &scene {
        Some(scene) if !is_project => worker::Command::OpenWithScene {
            capture: data,
            scene: scene.clone(),
        },
        _ => worker::Command::Open(data),
    };
    if !driver.run(open)? {
        return Err(Error::Cancelled);
    }
    if let Some(saved) = driver.scene.as_ref().map(|s| s.settings.clone())
        && is_project
    {
        if resume {
            settings = saved;
            flags::apply(matches, EDIT, &mut settings)?;
        } else {
            settings = choice::settings(&mut driver, matches, EDIT, saved, false)?;
        }
    }
    let mut begin = worker::Command::Edit;
    if let (Some(output), true) = (output, is_project) {
        if resume || scene.is_some() {
            driver.move_project(output)?;
        } else {
            begin = worker::Command::EditCopy(output);
        }
    }
    if let (Some(scene), true) = (scene, is_project)
        && !driver.run(worker::Command::AttachSplats(scene))?
    {
        return Err(Error::Cancelled);
    }
    driver.settings(&settings)?;
    if resume {
        driver.run(worker::Command::ResumeJob)?;
    } else {
        settings.check_edit()?;
        if driver.scene.as_ref().is_some_and(|s| !s.has_splats) && !matches.contains_id("scene") {
            tell!("luxedit: the capture has no scene yet; reconstructing it first");
        }
        driver.run(begin)?;
    }
    driver.finish("edit", Some(&settings), json!({ "resumed": resume }), &[])
}

/// What may differ when a job goes on; the rest is as it began.
const RESUMABLE: &[&str] = &[
    "model",
    "edit_device",
    "precision",
    "snapshot_interval",
    "autosave_secs",
];

/// # Errors
/// [`Error::Invalid`] names a flag that would have no effect.
fn check_flags(matches: &ArgMatches, is_project: bool, resume: bool) -> Result<()> {
    for setting in flags::given(matches, EDIT) {
        if resume && !RESUMABLE.contains(&setting.key) {
            return Err(Error::Invalid(format!(
                "--{} cannot change when a job is resumed; leave it out, or start a new edit without --resume",
                setting.flag
            )));
        }
        if is_project && ["downscale", "view_side"].contains(&setting.key) {
            return Err(Error::Invalid(format!(
                "a project keeps the photo size that it was made with: leave --{} out",
                setting.flag
            )));
        }
    }
    Ok(())
}
