//! `luxedit edit-image IMAGE --prompt P -o PNG`: try an instruction on one picture; with `--grid`, several settings on one
//! sheet.

use super::{choice, driver::Driver, flags};
use crate::{
    Error, Result,
    settings::{Settings, Value, jobs::EDIT_IMAGE},
    worker::{self, Grid},
};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

pub fn command() -> Command {
    flags::add(
        Command::new("edit-image")
            .about("Try an instruction on one picture")
            .arg(flags::input("image", "IMAGE", "Picture (PNG or JPEG)"))
            .arg(flags::output("PNG", "Picture to write").required(true))
            .arg(
                Arg::new("grid")
                    .long("grid")
                    .value_name("FLAG=N,N,…")
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("")
                    .action(ArgAction::Append)
                    .help(
                        "Write a sheet of several settings: three by three around the given ones, or the values of \
                         --grid=guidance-scale=5,7.5,12 --grid=image-guidance-scale=1.2,1.5 --grid=seed=0,1",
                    ),
            ),
        EDIT_IMAGE,
    )
}

/// The grid that the flags ask for; an axis that none names keeps `settings`' value, and all do where none is named.
fn grid(matches: &ArgMatches, settings: &Settings) -> Result<Option<Grid>> {
    let Some(asked) = matches.get_many::<String>("grid") else {
        return Ok(None);
    };
    let asked: Vec<&String> = asked.filter(|text| !text.is_empty()).collect();
    if asked.is_empty() {
        return Ok(Some(Grid::around(settings)));
    }
    let mut grid = Grid {
        guidance_scales: vec![settings.guidance_scale],
        image_guidance_scales: vec![settings.image_guidance_scale],
        seeds: vec![settings.seed],
    };
    for text in asked {
        let (flag, values) = text.split_once('=').ok_or_else(|| misread(text))?;
        let values = values.split(',').map(str::trim);
        match flag {
            "guidance-scale" => grid.guidance_scales = numbers("guidance_scale", values)?,
            "image-guidance-scale" => {
                grid.image_guidance_scales = numbers("image_guidance_scale", values)?;
            }
            "seed" => {
                grid.seeds = checked("seed", values)?
                    .into_iter()
                    .filter_map(|value| match value {
                        Value::Int(seed) => Some(seed),
                        _ => None,
                    })
                    .collect();
            }
            _ => return Err(misread(text)),
        }
    }
    Ok(Some(grid))
}

fn misread(text: &str) -> Error {
    Error::Invalid(format!(
        "--grid takes guidance-scale=N,N,…, image-guidance-scale=N,N,… or seed=N,N,…, not \"{text}\""
    ))
}

fn numbers<'a>(key: &str, values: impl Iterator<Item = &'a str>) -> Result<Vec<f64>> {
    let values = checked(key, values)?.into_iter();
    Ok(values
        .filter_map(|value| match value {
            Value::Float(v) => Some(v),
            _ => None,
        })
        .collect())
}

/// Values that the setting takes.
fn checked<'a>(key: &str, values: impl Iterator<Item = &'a str>) -> Result<Vec<Value>> {
    let setting = Settings::info(key).ok_or_else(|| misread(key))?;
    values
        .map(|text| {
            let value = setting.value_of(text)?;
            setting.set(&mut Settings::default(), value.clone())?;
            Ok(value)
        })
        .collect()
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let mut settings = Settings::default();
    flags::apply(matches, EDIT_IMAGE, &mut settings)?;
    settings.check_prompt_and_model()?;
    grid(matches, &settings)?;
    let mut driver = Driver::start(matches.get_flag("json"))?;
    let settings = choice::settings(&mut driver, matches, EDIT_IMAGE, Settings::default(), false)?;
    driver.settings(&settings)?;
    driver.run(worker::Command::EditImage {
        image: flags::path(matches, "image"),
        output: flags::path(matches, "output"),
        grid: grid(matches, &settings)?,
    })?;
    driver.finish("edit-image", Some(&settings), json!({}), &[])
}
