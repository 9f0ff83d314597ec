//! `luxedit convert IN OUT`: a splat file in another format, which needs no graphics adapter; a Luxen as splats; or the scene
//! of a project or a splat file as a mesh or as points.

use super::out::say;
use super::{driver::Driver, flags};
use crate::{
    Error, Result,
    settings::{SceneKind, Settings, jobs::CONVERT},
    worker::{self, Delivery},
};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;
use std::path::Path;

const AXES: [&str; 3] = ["x", "y", "z"];
const DELIVERIES: [(&str, Delivery); 3] = [
    ("splats", Delivery::Splats),
    ("mesh", Delivery::Mesh),
    ("points", Delivery::Points),
];

pub fn command() -> Command {
    flags::add(
        Command::new("convert")
            .about(
                "Write a splat file in another format (PLY, compressed PLY, .splat, SPZ, SOG, GLB, a web page); or the \
                 scene of a project or a splat file as a mesh (PLY, OBJ, GLB) or points (PLY); or a Luxen as splats",
            )
            .arg(flags::input(
                "input",
                "IN",
                "Project, or splat file: PLY, compressed PLY, .splat, .ksplat, SPZ, SOG, glTF or GLB",
            ))
            .arg(flags::input(
                "out",
                "OUT",
                "File to write; its ending says the format",
            ))
            .arg(
                Arg::new("as")
                    .long("as")
                    .value_name("WHAT")
                    .value_parser(DELIVERIES.map(|(name, _)| name))
                    .help("splats, mesh or points [default: mesh for .obj, else splats]"),
            )
            .arg(
                Arg::new("turn")
                    .long("turn")
                    .value_name("AXIS")
                    .action(ArgAction::Append)
                    .value_parser(AXES)
                    .help(
                        "Turn the scene upside down: half a turn about an axis (for files of tools with another frame); \
                         not for a Luxen",
                    ),
            ),
        CONVERT,
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let (input, output) = (flags::path(matches, "input"), flags::path(matches, "out"));
    let turns: Vec<usize> = matches
        .get_many::<String>("turn")
        .into_iter()
        .flatten()
        .filter_map(|axis| AXES.iter().position(|a| a == axis))
        .collect();
    let kind = worker::scene_kind(&input)?;
    let delivery = delivery(matches, &output);
    if kind == Some(SceneKind::Luxen) || delivery != Delivery::Splats {
        if !turns.is_empty() {
            return Err(Error::invalid(
                "--turn is for splats that are written as they are: leave it out, and turn the file that comes of it",
            ));
        }
        return deliver(matches, &input, &output, delivery);
    }
    if let Some(setting) = flags::given(matches, CONVERT).next() {
        return Err(Error::Invalid(format!(
            "--{} is for Luxens, meshes and points: splats are written as they are",
            setting.flag
        )));
    }
    let done = worker::convert(&input, &output, &turns)?;
    if matches.get_flag("json") {
        let mut json = serde_json::to_value(&done).map_err(|e| Error::invalid(e.to_string()))?;
        json["command"] = "convert".into();
        json["written"] = json!([output]);
        say!("{json}");
        return Ok(());
    }
    say!(
        "{}: {} splats, SH degree {}, {} to {}, {} bytes",
        output.display(),
        done.splats,
        done.sh_degree,
        done.input_format.name(),
        done.output_format.name(),
        done.bytes
    );
    if let Some(loss) = done.loss {
        say!("note: {} {loss}", done.output_format.name());
    }
    if done.forgets_antialiasing {
        say!(
            "note: {} cannot say that the scene is to be drawn antialiased; switch that on where it is shown, or write PLY or \
             SPZ",
            done.output_format.name()
        );
    }
    Ok(())
}

fn delivery(matches: &ArgMatches, output: &Path) -> Delivery {
    let named = matches
        .get_one::<String>("as")
        .and_then(|name| DELIVERIES.iter().find(|(n, _)| n == name));
    let is_obj = output
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("obj"));
    match named {
        Some((_, delivery)) => *delivery,
        None if is_obj => Delivery::Mesh,
        None => Delivery::Splats,
    }
}

fn deliver(matches: &ArgMatches, input: &Path, output: &Path, delivery: Delivery) -> Result<()> {
    let mut settings = Settings::default();
    flags::apply(matches, CONVERT, &mut settings)?;
    let mut driver = Driver::start(matches.get_flag("json"))?;
    driver.settings(&settings)?;
    if !driver.run(worker::Command::OpenReadOnly(input.to_owned()))? {
        return Err(Error::Cancelled);
    }
    if let Some(scene) = &driver.scene {
        // A project brings settings of its own.
        settings = scene.settings.clone();
        flags::apply(matches, CONVERT, &mut settings)?;
        driver.settings(&settings)?;
    }
    driver.run(worker::Command::Deliver {
        output: output.to_owned(),
        delivery,
    })?;
    let delivered = driver.delivered;
    let line = delivered.map(|d| d.to_string());
    driver.finish(
        "convert",
        Some(&settings),
        json!({ "delivered": delivered }),
        line.as_slice(),
    )
}
