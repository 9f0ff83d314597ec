//! The command line: the same worker as the window, driven by the same messages, for scripts and tests. One file a
//! subcommand; flags come from the settings table. Progress goes to stderr, the result to stdout; `--json` makes the
//! result one JSON object. Exit code 0: done, 1: failed, 2: wrong usage.

mod choice;
mod convert;
mod driver;
mod edit;
mod edit_image;
mod eval;
mod flags;
mod info;
mod model;
mod out;
mod poses;
mod reconstruct;
mod render;
mod serve_editor;
mod views;

use crate::Result;
use clap::{Arg, ArgMatches, Command, value_parser};
use out::tell;
use std::{path::PathBuf, process::ExitCode};

/// A subcommand: its flags, and what it does. The second argument asks for JSON.
struct Job {
    command: fn() -> Command,
    run: fn(&ArgMatches) -> Result<()>,
}

const JOBS: &[Job] = &[
    Job {
        command: poses::command,
        run: poses::run,
    },
    Job {
        command: reconstruct::command,
        run: reconstruct::run,
    },
    Job {
        command: edit::command,
        run: edit::run,
    },
    Job {
        command: edit_image::command,
        run: edit_image::run,
    },
    Job {
        command: render::command,
        run: render::run,
    },
    Job {
        command: views::command,
        run: views::run,
    },
    Job {
        command: eval::command,
        run: eval::run,
    },
    Job {
        command: convert::command,
        run: convert::run,
    },
    Job {
        command: info::command,
        run: info::run,
    },
    Job {
        command: serve_editor::command,
        run: serve_editor::run,
    },
    Job {
        command: model::command,
        run: model::run,
    },
];

/// The whole command line.
pub fn command() -> Command {
    Command::new("luxedit")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Edit captured 3D scenes by instruction")
        .args_conflicts_with_subcommands(true)
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("A capture, splat file or project to open in the editor"),
        )
        .subcommands(JOBS.iter().map(|job| {
            let command = (job.command)();
            // Where it has subcommands, they take it.
            if command.has_subcommands() {
                command
            } else {
                command.arg(flags::json())
            }
        }))
}

/// Warnings that no event carries go to stderr.
struct StderrLog;

impl log::Log for StderrLog {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("luxedit")
    }
    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            tell!("luxedit: {}", record.args());
        }
    }
    fn flush(&self) {}
}

/// Parse the command line and do it.
pub fn main() -> ExitCode {
    if log::set_logger(&StderrLog).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
    let matches = command().get_matches();
    let result = match matches.subcommand() {
        Some((name, matches)) => match JOBS.iter().find(|j| (j.command)().get_name() == name) {
            Some(job) => (job.run)(matches),
            None => Ok(()),
        },
        None => crate::app::run(matches.get_one::<PathBuf>("path").cloned()),
    };
    match result.and_then(|()| out::finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tell!("luxedit: {e}");
            ExitCode::FAILURE
        }
    }
}
