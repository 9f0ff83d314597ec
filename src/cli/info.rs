//! `luxedit info PATH`: what a capture, splat file or project holds. Needs no graphics adapter.

use super::flags;
use super::out::say;
use crate::{Result, worker};
use clap::{ArgMatches, Command};

pub fn command() -> Command {
    Command::new("info")
        .about("Say what a capture, splat file or project holds")
        .arg(flags::input(
            "path",
            "PATH",
            "Capture, splat file or project",
        ))
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let info = worker::describe(&flags::path(matches, "path"))?;
    if matches.get_flag("json") {
        say!("{}", info.json);
    } else {
        for line in info.lines {
            say!("{line}");
        }
    }
    Ok(())
}
