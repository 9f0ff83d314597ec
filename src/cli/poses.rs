//! `luxedit poses PHOTOS -o FOLDER`: a capture of photos or a video without poses, by COLMAP. Needs no graphics adapter.

use super::out::say;
use super::{driver, flags};
use crate::{
    Error, Result,
    error::Cancel,
    settings::{Settings, jobs::POSES},
    tools::{PoseOptions, find_poses},
};
use clap::{ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::time::Instant;

pub fn command() -> Command {
    flags::add(
        Command::new("poses")
            .about("Find where photos were taken, by COLMAP, and make a capture of them")
            .arg(flags::input(
                "photos",
                "PHOTOS",
                "Folder of photos, or a video",
            ))
            .arg(
                flags::output(
                    "FOLDER",
                    "Capture to write: the photos, copied, and their poses",
                )
                .required(true),
            ),
        POSES,
    )
}

pub fn run(matches: &ArgMatches) -> Result<()> {
    let began = Instant::now();
    let mut settings = Settings::default();
    flags::apply(matches, POSES, &mut settings)?;
    let (photos, folder) = (
        flags::path(matches, "photos"),
        flags::path(matches, "output"),
    );
    let cancel = Cancel::default();
    driver::cancel_on_interrupt(&cancel);
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}")
            .map_err(|e| Error::Invalid(e.to_string()))?,
    );
    let options = PoseOptions::of(&settings);
    let found = find_poses(
        &photos,
        &folder,
        &options,
        &cancel,
        &mut |what, done, total| {
            bar.set_message(what.to_owned());
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        },
    );
    bar.finish_and_clear();
    let found = found?;
    if matches.get_flag("json") {
        let json = json!({
            "command": "poses",
            "photos": found.photos,
            "registered": found.registered,
            "lost": found.lost,
            "written": [folder],
            "duration_secs": began.elapsed().as_secs_f64(),
        });
        say!("{json}");
    } else {
        say!("{found}");
        say!("written: {}", folder.display());
    }
    Ok(())
}
