//! Other people's programs: COLMAP finds where photos were taken, ffmpeg reads and writes videos. Both are large, well kept,
//! on most machines that do such work, and under licences or with dependencies that a program of one binary cannot take
//! in. Each is looked for where the person says, else on the PATH; where it is not, the sentence says how to get it. They
//! are run beside everything else, can be stopped at any time, and are never given a file of the person to write to.

mod colmap;
mod ffmpeg;
mod poses;
mod process;

pub use ffmpeg::{VideoWriter, is_video};
pub use poses::{FoundPoses, PoseOptions, Unposed, find_poses};
pub use process::{Missing, Program};
