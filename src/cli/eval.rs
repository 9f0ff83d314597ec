//! `luxedit eval SCENE [DATA]`: quality on held-out views; with a CLIP model, how well an edit did what it should.

use super::{driver::Driver, flags};
use crate::{
    Error, Result,
    settings::{Settings, jobs::EVAL},
    worker::{self, Project},
};
use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use std::path::PathBuf;

pub fn command() -> Command {
    flags::add(
        Command::new("eval")
            .about("Measure a scene on held-out views: PSNR, SSIM, and LPIPS and CLIP where their weights are there")
            .arg(flags::input("scene", "SCENE", "Project, or splat file"))
            .arg(
                Arg::new("data")
                    .value_name("DATA")
                    .value_parser(value_parser!(PathBuf))
                    .help("Capture; not needed for a project"),
            ),
        EVAL,
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let scene = flags::path(matches, "scene");
    let data = matches.get_one::<PathBuf>("data").cloned();
    let mut settings = Settings::default();
    flags::apply(matches, EVAL, &mut settings)?;
    let mut driver = Driver::start(matches.get_flag("json"))?;
    driver.settings(&settings)?;
    let opened = match (Project::is_project(&scene), data) {
        (true, None) => {
            if flags::given(matches, EVAL).any(|s| s.key == "downscale") {
                return Err(Error::invalid(
                    "a project keeps the photo size that it was made with: leave --downscale out",
                ));
            }
            driver.run(worker::Command::OpenReadOnly(scene))?
        }
        (false, Some(data)) => {
            driver.run(worker::Command::OpenReadOnly(data))?
                && driver.run(worker::Command::AttachSplats(scene))?
        }
        (false, None) => {
            return Err(Error::invalid(
                "a splat file is measured against a capture: luxedit eval SCENE DATA",
            ));
        }
        (true, Some(_)) => {
            return Err(Error::invalid(
                "a project brings its own capture: luxedit eval PROJECT. To measure against another capture, give the project's scene.ply",
            ));
        }
    };
    if !opened {
        return Err(Error::Cancelled);
    }
    if let Some(scene) = &driver.scene {
        // A project brings settings of its own.
        settings = scene.settings.clone();
        flags::apply(matches, EVAL, &mut settings)?;
        driver.settings(&settings)?;
    }
    driver.run(worker::Command::Evaluate)?;
    driver.finish("eval", None, json!({}), &[])
}
