//! Pictures that follow each other: an animated GIF, a video, or the cameras alone as a path that nerfstudio renders, too.

use super::{Event, RenderFormat, control::Control, pictures::tell_rendered, session::Session};
use crate::{
    Error, Result,
    edit::Look,
    formats::{self, GifWriter},
    scene::{Camera, Photo},
    tools::{VideoWriter, is_video},
};
use std::path::Path;

/// Of videos and camera paths, where nobody says.
const FRAMES_PER_SEC: f64 = 24.0;
/// Of GIFs, whose frames last whole hundredths of a second and which grow with every one.
const GIF_FRAMES_PER_SEC: f64 = 12.5;

/// Pictures of the loop that the window makes films of: ten seconds.
pub const LOOP_PICTURES: u32 = 240;

impl RenderFormat {
    /// Of a file that holds a film, by its name.
    pub fn of_film(path: &Path) -> Option<Self> {
        let has_ending = |e: &str| path.extension().is_some_and(|p| p.eq_ignore_ascii_case(e));
        if has_ending("gif") {
            Some(Self::Gif)
        } else if has_ending("json") {
            Some(Self::CameraPath)
        } else {
            is_video(path).then_some(Self::Video)
        }
    }
}

/// How a film runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Film {
    /// `None`: what is usual.
    pub frames_per_sec: Option<f64>,
    /// The last camera is followed by the first.
    pub is_cycle: bool,
    pub look: Look,
    /// World units a unit of the capture whose cameras they are.
    pub scale: f64,
}

impl Session {
    /// Draw the live scene from every camera, in order, into the file `output`.
    ///
    /// # Errors
    /// When there is no scene, the file exists or cannot be written, or `format` is none of films.
    pub(super) fn render_film(
        &mut self,
        cameras: &[Camera],
        film: Film,
        output: &Path,
        format: RenderFormat,
        control: &mut Control,
    ) -> Result<()> {
        if output.exists() {
            return Err(Error::Invalid(format!(
                "{} exists already; choose another file",
                output.display()
            )));
        }
        let rate = |usual: f64| film.frames_per_sec.unwrap_or(usual);
        match format {
            RenderFormat::Gif => {
                let centisecs = (100.0 / rate(GIF_FRAMES_PER_SEC))
                    .round()
                    .clamp(2.0, 6000.0);
                let mut gif = GifWriter::begin(output, centisecs as u16);
                self.render_frames(cameras, film.look, control, |photo| gif.add(photo))?;
                gif.finish()?;
            }
            RenderFormat::Video => {
                self.render_video(cameras, (rate(FRAMES_PER_SEC), film.look), output, control)?
            }
            RenderFormat::CameraPath => {
                formats::write_camera_path(output, cameras, rate(FRAMES_PER_SEC), film.is_cycle)?;
            }
            RenderFormat::Png | RenderFormat::Exr | RenderFormat::DepthPng => {
                return Err(Error::invalid("single pictures are no film"));
            }
        }
        control.emit(Event::Exported(output.to_owned()));
        Ok(())
    }

    /// `add` gets one picture after the other.
    fn render_frames(
        &mut self,
        cameras: &[Camera],
        look: Look,
        control: &mut Control,
        mut add: impl FnMut(Photo) -> Result<()>,
    ) -> Result<()> {
        for (done, camera) in cameras.iter().enumerate() {
            control.cancel.check()?;
            let image = self.render_look(camera, look, self.scale(camera))?;
            add(image.read(&self.gpu)?.to_photo())?;
            tell_rendered(done + 1, cameras.len(), control);
        }
        Ok(())
    }

    fn render_video(
        &mut self,
        cameras: &[Camera],
        (frames_per_sec, look): (f64, Look),
        output: &Path,
        control: &mut Control,
    ) -> Result<()> {
        let Some(k) = cameras.first().map(|camera| camera.intrinsics) else {
            return Err(Error::file(output, "a video needs at least one picture"));
        };
        let ffmpeg = control.settings.ffmpeg.clone();
        let mut video = VideoWriter::begin(&ffmpeg, output, (k.width, k.height), frames_per_sec)?;
        self.render_frames(cameras, look, control, |photo| video.add(&photo))?;
        video.finish()
    }
}
