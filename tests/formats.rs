//! Files that people really have: captures and splats in all their variants, and damaged ones, which must end in a
//! sentence that helps, with nothing written over.

#[path = "formats/archives.rs"]
mod archives;
#[path = "formats/camera_paths.rs"]
mod camera_paths;
#[path = "support/photogrammetry.rs"]
mod cameras_of_programs;
#[path = "formats/captures.rs"]
mod captures;
#[path = "formats/damaged.rs"]
mod damaged;
#[path = "formats/frames.rs"]
mod frames;
#[path = "formats/lens.rs"]
mod lens;
#[path = "formats/llff.rs"]
mod llff;
#[path = "formats/photogrammetry.rs"]
mod photogrammetry;
#[path = "formats/photogrammetry_photos.rs"]
mod photogrammetry_photos;
#[path = "formats/pictures.rs"]
mod pictures;
#[path = "formats/plys.rs"]
mod plys;
#[path = "formats/scenes.rs"]
mod scenes;
#[path = "support/captures.rs"]
mod small_captures;
#[path = "formats/writing.rs"]
mod writing;
#[path = "support/zips.rs"]
mod zips;
