//! COLMAP's steps from photos to a sparse model, and how far it is, read from what it prints. Versions differ in the names
//! of options and in where they print; both are asked of the program itself.

use super::process::{self, command};
use crate::error::Cancel;
use crate::settings::Matching;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Up to so many photos every one is compared with every other.
pub const MOST_EXHAUSTIVE: usize = 300;
/// Photos whose features are compared at once; few, so that progress is seen.
const BLOCK: usize = 20;
/// Neighbours in time that each picture of a video is compared with.
const OVERLAP: usize = 12;

pub struct Colmap<'a> {
    pub program: PathBuf,
    pub photos: &'a Path,
    pub database: &'a Path,
    /// Models go into numbered folders of it.
    pub sparse: &'a Path,
    /// All photos were taken by one camera at one zoom.
    pub is_one_camera: bool,
    pub count: usize,
    pub matching: Matching,
    pub cancel: &'a Cancel,
}

/// How far COLMAP is: what it does, and how much of it is done.
pub type OnProgress<'a> = dyn FnMut(&str, usize, usize) + 'a;

impl Colmap<'_> {
    /// # Errors
    /// A step fails, with COLMAP's last words; [`Error::Cancelled`].
    pub fn run(&self, on_progress: &mut OnProgress<'_>) -> Result<()> {
        let matcher = match self.matching {
            Matching::Sequential => "sequential_matcher",
            Matching::Exhaustive | Matching::Auto => "exhaustive_matcher",
        };
        let extracting =
            self.uses_gpu("feature_extractor", ["FeatureExtraction", "SiftExtraction"])?;
        let comparing = self.uses_gpu(matcher, ["FeatureMatching", "SiftMatching"])?;

        let what = "looking for features";
        let mut extract = self.step("feature_extractor");
        extract
            .arg("--image_path")
            .arg(self.photos)
            .args(["--ImageReader.camera_model", "OPENCV"])
            .args([
                "--ImageReader.single_camera",
                if self.is_one_camera { "1" } else { "0" },
            ])
            .args(&extracting);
        self.carry_out(&mut extract, what, &mut |line| {
            if line.contains("Processed file")
                && let Some((done, total)) = fraction(line)
            {
                on_progress(what, done, total);
            }
        })?;

        let what = "comparing photos";
        let mut compare = self.step(matcher);
        compare.args(&comparing);
        if matcher == "exhaustive_matcher" {
            compare.args(["--ExhaustiveMatching.block_size", &BLOCK.to_string()]);
        } else {
            compare.args(["--SequentialMatching.overlap", &OVERLAP.to_string()]);
        }
        self.carry_out(&mut compare, what, &mut |line| {
            if (line.contains("Matching") || line.contains("Processing"))
                && let Some((done, total)) = fraction(line)
            {
                on_progress(what, done, total);
            }
        })?;

        let what = "placing cameras";
        std::fs::create_dir_all(self.sparse).map_err(Error::io(self.sparse))?;
        let mut place = self.step("mapper");
        place
            .arg("--image_path")
            .arg(self.photos)
            .arg("--output_path")
            .arg(self.sparse);
        let count = self.count;
        self.carry_out(&mut place, what, &mut |line| {
            if let Some(placed) = registered(line) {
                on_progress(what, placed.min(count), count);
            }
        })
    }

    fn step(&self, name: &str) -> Command {
        let mut step = command(&self.program);
        step.arg(name).arg("--database_path").arg(self.database);
        // Its window system is started with it, also where there is no display.
        if cfg!(target_os = "linux") {
            step.env("QT_QPA_PLATFORM", "offscreen");
        }
        step
    }

    fn carry_out(
        &self,
        step: &mut Command,
        what: &str,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<()> {
        process::run(step, self.cancel, on_line)?.check(&format!("COLMAP, {what},"))
    }

    /// The option that says whether a step uses the graphics card, in the words of this version. Only builds with CUDA do
    /// so without a display.
    fn uses_gpu(&self, step: &str, groups: [&str; 2]) -> Result<Vec<String>> {
        let mut help = String::new();
        let mut ask = command(&self.program);
        if cfg!(target_os = "linux") {
            ask.env("QT_QPA_PLATFORM", "offscreen");
        }
        ask.args([step, "-h"]);
        process::run(&mut ask, self.cancel, &mut |line| {
            help.push_str(line);
            help.push('\n');
        })?;
        let option = groups
            .iter()
            .map(|group| format!("--{group}.use_gpu"))
            .find(|option| help.contains(option.as_str()));
        let with_cuda = help.contains("with CUDA");
        Ok(option.map_or_else(Vec::new, |option| {
            vec![option, if with_cuda { "1" } else { "0" }.to_owned()]
        }))
    }
}

/// `[12/50]`; `[2/5, 3/5]` is the 8th of 25.
fn fraction(line: &str) -> Option<(usize, usize)> {
    let inside = line.split_once('[')?.1.split_once(']')?.0;
    let mut done = 0;
    let mut total = 1;
    for part in inside.split(',') {
        let (at, of) = part.split_once('/')?;
        let (at, of): (usize, usize) = (at.trim().parse().ok()?, of.trim().parse().ok()?);
        done = done * of + at.checked_sub(1)?;
        total *= of;
    }
    Some((done + 1, total))
}

/// `Registering image #20 (3)`, also with `num_reg_frames=3` in the parentheses.
fn registered(line: &str) -> Option<usize> {
    let rest = line.split_once("Registering image #")?.1;
    let inside = rest.split_once('(')?.1.split_once(')')?.0;
    inside.rsplit(['=', ' ']).next()?.parse().ok()
}
