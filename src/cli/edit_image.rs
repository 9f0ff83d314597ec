//! `luxedit edit-image IMAGE --prompt P -o PNG`: try an instruction on one picture.

use super::{choice, driver::Driver, flags};
use crate::{
    Result,
    settings::{Settings, jobs::EDIT_IMAGE},
    worker,
};
use clap::{ArgMatches, Command};
use serde_json::json;

pub fn command() -> Command {
    flags::add(
        Command::new("edit-image")
            .about("Try an instruction on one picture")
            .arg(flags::input("image", "IMAGE", "Picture (PNG or JPEG)"))
            .arg(flags::output("PNG", "Picture to write").required(true)),
        EDIT_IMAGE,
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let mut settings = Settings::default();
    flags::apply(matches, EDIT_IMAGE, &mut settings)?;
    settings.check_prompt_and_model()?;
    let mut driver = Driver::start(matches.get_flag("json"))?;
    let settings = choice::settings(&mut driver, matches, EDIT_IMAGE, Settings::default(), false)?;
    driver.settings(&settings)?;
    driver.run(worker::Command::EditImage {
        image: flags::path(matches, "image"),
        output: flags::path(matches, "output"),
    })?;
    driver.finish("edit-image", Some(&settings), json!({}), &[])
}
