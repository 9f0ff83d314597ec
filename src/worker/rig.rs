//! A capture made of a scene: renders from a rig of cameras become the photos that an edit starts from. It is written as
//! an ordinary capture folder, so that everything else (projects, resuming, other tools) needs to know nothing of it.

use super::{Event, control::Control, pictures::tell_rendered, session::Session};
use crate::{
    Error, Result,
    formats::{self, files, picture},
    scene::{
        Camera,
        rig::{self, RigShape, Stance},
    },
    settings::{Settings, UpAxis},
};
use glam::DVec3;
use std::path::{Path, PathBuf};

/// Folder of the photos within the capture.
const IMAGES: &str = "images";

impl UpAxis {
    /// Unit length, in the scene's frame.
    pub fn direction(self) -> DVec3 {
        match self {
            Self::PlusX => DVec3::X,
            Self::MinusX => -DVec3::X,
            Self::PlusY => DVec3::Y,
            Self::MinusY => -DVec3::Y,
            Self::PlusZ => DVec3::Z,
            Self::MinusZ => -DVec3::Z,
        }
    }
}

/// Of a render over black.
fn straight_alpha(rgba: &[f32]) -> Vec<u8> {
    let byte = |v: f32| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    let pixels = rgba.as_chunks::<4>().0.iter();
    pixels
        .flat_map(|&[r, g, b, a]| {
            let over = 1.0 / a.max(1.0 / 255.0);
            [byte(r * over), byte(g * over), byte(b * over), byte(a)]
        })
        .collect()
}

fn shape(settings: &Settings) -> RigShape {
    RigShape {
        count: settings.rig_count as usize,
        arc_degrees: settings.rig_arc,
        fov_degrees: settings.rig_fov,
        side: settings.rig_side,
    }
}

/// A capture that was made.
pub struct MadeViews {
    /// The scene that its pictures show, in the capture's folder.
    pub scene: PathBuf,
    pub made: usize,
    /// Made and left out.
    pub asked: usize,
}

impl Session {
    /// Render the live scene from a rig around `stance` (`None`: one that is found) into a capture folder, with the scene
    /// beside the pictures. A folder that could not be filled is left as it was found.
    ///
    /// # Errors
    /// When there is no scene of splats or it has photos, hardly a view shows it, the folder holds something, or a file
    /// cannot be written.
    pub fn make_views(
        &mut self,
        stance: Option<Stance>,
        folder: &Path,
        control: &mut Control,
    ) -> Result<MadeViews> {
        if self.dataset.is_some() {
            return Err(Error::invalid(
                "this scene has photos already: views are made of a splat file without a capture",
            ));
        }
        let (stance, cameras) = self.rig(stance, &control.settings)?;
        let made = MadeViews {
            scene: folder.join("scene.ply"),
            made: cameras.len(),
            asked: control.settings.rig_count as usize,
        };
        let existed = folder.is_dir();
        if !files::list(folder)?.is_empty() {
            return Err(Error::file(
                folder,
                "holds something already; choose another folder",
            ));
        }
        let filled =
            Error::contained(|| self.fill(folder, cameras, stance.up, &made.scene, control));
        if let Err(problem) = filled {
            clear(folder, existed);
            return Err(problem);
        }
        if made.made < made.asked {
            control.emit(Event::Warning(format!(
                "{} of {} views show too little of the scene, or something in the way, and are left out",
                made.asked - made.made,
                made.asked
            )));
        }
        Ok(made)
    }

    /// Cameras around `stance` (`None`: one that is found) that see a scene of splats.
    ///
    /// # Errors
    /// When there is no scene of splats, or hardly a view shows it.
    pub(super) fn rig(
        &mut self,
        stance: Option<Stance>,
        settings: &Settings,
    ) -> Result<(Stance, Vec<Camera>)> {
        let shape = shape(settings);
        let gpu = self.gpu.clone();
        let buffers = self
            .trainer()?
            .splats()
            .ok_or_else(crate::edit::no_splats)?;
        let splats = buffers.download(&gpu)?;
        let stance = match stance {
            Some(stance) => stance,
            None => rig::stance(&splats, settings.up_axis.direction(), &shape)?,
        };
        let cameras = rig::cameras(&splats, &stance, &shape)?;
        Ok((stance, cameras))
    }

    fn fill(
        &mut self,
        folder: &Path,
        cameras: Vec<Camera>,
        up: DVec3,
        scene: &Path,
        control: &mut Control,
    ) -> Result<()> {
        let images = folder.join(IMAGES);
        std::fs::create_dir_all(&images).map_err(Error::io(&images))?;
        let total = cameras.len();
        let mut named = Vec::with_capacity(total);
        for (i, camera) in cameras.into_iter().enumerate() {
            control.cancel.check()?;
            let name = format!("{IMAGES}/view_{i:03}.png");
            let (image, _) = self.render(&camera)?;
            let rgba = straight_alpha(&image.read_rgba(&self.gpu)?);
            picture::write_rgba_png(&folder.join(&name), image.width, image.height, &rgba)?;
            named.push((name, camera));
            tell_rendered(i + 1, total, control);
        }
        self.export_live(scene)?;
        formats::write_transforms(&folder.join("transforms.json"), &named, up)
    }
}

/// Take away what a failed run wrote into a folder that was empty or not there.
fn clear(folder: &Path, existed: bool) {
    let gone = if existed {
        std::fs::remove_dir_all(folder.join(IMAGES))
    } else {
        std::fs::remove_dir_all(folder)
    };
    if let Err(problem) = gone
        && problem.kind() != std::io::ErrorKind::NotFound
    {
        log::warn!("{}: could not be removed: {problem}", folder.display());
    }
}
