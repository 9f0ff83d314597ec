//! `luxedit convert IN OUT`: a splat file in another format. Needs no graphics adapter.

use super::flags;
use crate::{Error, Result, worker};
use clap::{Arg, ArgAction, ArgMatches, Command};

const AXES: [&str; 3] = ["x", "y", "z"];

pub fn command() -> Command {
    Command::new("convert")
        .about("Write a splat file in another format: PLY, compressed PLY, .splat, SPZ, SOG, GLB or a web page")
        .arg(flags::input("input", "IN", "Project, or splat file: PLY, compressed PLY, .splat, .ksplat, SPZ, SOG, glTF or GLB"))
        .arg(flags::input("out", "OUT", "File to write; its ending says the format"))
        .arg(
            Arg::new("turn")
                .long("turn")
                .value_name("AXIS")
                .action(ArgAction::Append)
                .value_parser(AXES)
                .help("Turn the scene upside down: half a turn about an axis (for files of tools with another frame)"),
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
    let done = worker::convert(&input, &output, &turns)?;
    if matches.get_flag("json") {
        let mut json = serde_json::to_value(&done).map_err(|e| Error::invalid(e.to_string()))?;
        json["command"] = "convert".into();
        json["written"] = serde_json::json!([output]);
        println!("{json}");
        return Ok(());
    }
    println!(
        "{}: {} splats, SH degree {}, {} to {}, {} bytes",
        output.display(),
        done.splats,
        done.sh_degree,
        done.input_format.name(),
        done.output_format.name(),
        done.bytes
    );
    if let Some(loss) = done.loss {
        println!("note: {} {loss}", done.output_format.name());
    }
    Ok(())
}
