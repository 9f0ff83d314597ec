//! Flags out of the settings table.

use crate::{
    Result,
    bundle::Preset,
    settings::{Kind, SETTINGS, Setting, Settings},
};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;

fn of(job: u16) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |s| s.jobs & job != 0)
}

/// Add the flags that `job` reads.
pub fn add(command: Command, job: u16) -> Command {
    command.args(of(job).map(|s| {
        let arg = Arg::new(s.key)
            .long(s.flag_in(job))
            .help(help(s))
            .allow_negative_numbers(true);
        match s.kind {
            Kind::Int { .. } | Kind::Float { .. } => arg.value_name("N"),
            Kind::Choice(choices) => arg.value_name("WHICH").value_parser(choices.to_vec()),
            // A box may begin with a minus, which a text that was forgotten must not.
            Kind::Text => arg.value_name("TEXT").allow_hyphen_values(s.key == "crop"),
            Kind::Device => arg.value_name("WHERE"),
        }
    }))
}

fn help(setting: &Setting) -> String {
    let default = (setting.get)(&Settings::default()).to_string();
    if default.is_empty() {
        setting.help.to_owned()
    } else {
        format!("{} [default: {default}]", setting.help)
    }
}

/// The flags of `job` that were given.
pub fn given(matches: &ArgMatches, job: u16) -> impl Iterator<Item = &'static Setting> {
    of(job).filter(|s| matches.contains_id(s.key))
}

/// Put the flags that were given into `settings`; the others stay, and what nobody chose follows method and speed.
///
/// # Errors
/// [`crate::Error::Invalid`] names the flag and its range.
pub fn apply(matches: &ArgMatches, job: u16, settings: &mut Settings) -> Result<()> {
    apply_over(&Preset::default(), matches, job, settings)
}

/// [`apply`], where nobody's choice is `preset`.
///
/// # Errors
/// As [`apply`].
pub fn apply_over(
    preset: &Preset,
    matches: &ArgMatches,
    job: u16,
    settings: &mut Settings,
) -> Result<()> {
    for setting in of(job) {
        if let Some(text) = matches.get_one::<String>(setting.key) {
            preset.choose(setting, settings, setting.value_of(text)?)?;
        }
    }
    Ok(())
}

pub fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print one JSON object at the end")
}

pub fn input(name: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .required(true)
        .value_name(value_name)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

pub fn output(value_name: &'static str, help: &'static str) -> Arg {
    Arg::new("output")
        .short('o')
        .long("output")
        .value_name(value_name)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

/// A path argument that clap made sure of.
pub fn path(matches: &ArgMatches, name: &str) -> PathBuf {
    matches
        .get_one::<PathBuf>(name)
        .cloned()
        .unwrap_or_default()
}
