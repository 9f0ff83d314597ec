//! Pictures for panels as egui textures: shrunk once, kept while they are shown, dropped when they have not been for
//! a while. Shrinking is rationed over frames, so that opening a capture of hundreds of photos does not stall the window.

use super::theme;
use crate::{scene::Photo, worker::SnapshotId};
use eframe::egui::{self, ColorImage, TextureHandle, TextureOptions};
use std::collections::HashMap;

/// Longer side of a small texture, pixels.
const SMALL: u32 = 220;
/// Longer side of a large texture, pixels.
const LARGE: u32 = 1400;
/// Source pixels that may be shrunk in one frame of the window.
const BUDGET: u64 = 6_000_000;
/// Frames of the window that a texture may go unused.
const PATIENCE: u64 = 600;

/// Which picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Picture {
    /// Photo of a view, by its index.
    Original(usize),
    /// Render of a reel item, by its number.
    Render(u64),
    /// Edited image of a reel item, by its number.
    Edited(u64),
    Snapshot(SnapshotId),
    /// What was tried on a view, by its number.
    Tried(u64),
    /// The demo, on the start page.
    Demo,
}

struct Entry {
    texture: TextureHandle,
    last_use: u64,
}

/// The textures of one window.
#[derive(Default)]
pub struct Thumbs {
    entries: HashMap<(Picture, bool), Entry>,
    frame: u64,
    spent: u64,
}

impl Thumbs {
    /// Call once a frame of the window.
    pub fn begin_frame(&mut self) {
        self.frame += 1;
        self.spent = 0;
        let oldest = self.frame.saturating_sub(PATIENCE);
        self.entries.retain(|_, entry| entry.last_use >= oldest);
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub fn forget(&mut self, picture: Picture) {
        self.entries.retain(|(known, _), _| *known != picture);
    }

    /// `None` when this frame's share of work is used up; asks for another frame then.
    fn texture(
        &mut self,
        ctx: &egui::Context,
        picture: Picture,
        photo: &Photo,
        is_large: bool,
    ) -> Option<TextureHandle> {
        if let Some(entry) = self.entries.get_mut(&(picture, is_large)) {
            entry.last_use = self.frame;
            return Some(entry.texture.clone());
        }
        if self.spent > BUDGET {
            ctx.request_repaint();
            return None;
        }
        self.spent += u64::from(photo.width) * u64::from(photo.height);
        let limit = if is_large { LARGE } else { SMALL };
        let shrunk = photo.downscaled(photo.width.max(photo.height).div_ceil(limit));
        let size = [shrunk.width as usize, shrunk.height as usize];
        let texture = ctx.load_texture(
            format!("{picture:?}"),
            ColorImage::from_rgb(size, &shrunk.rgb),
            TextureOptions::LINEAR,
        );
        self.entries.insert(
            (picture, is_large),
            Entry {
                texture: texture.clone(),
                last_use: self.frame,
            },
        );
        Some(texture)
    }

    /// Paint a picture into `rect`, cut to fill it.
    pub fn paint_filling(
        &mut self,
        ui: &egui::Ui,
        rect: egui::Rect,
        picture: Picture,
        photo: &Photo,
    ) {
        let painter = ui.painter();
        painter.rect_filled(rect, theme::CORNER, theme::SUNKEN);
        if let Some(texture) = self.texture(ui.ctx(), picture, photo, false) {
            egui::Image::from_texture(&texture)
                .uv(filling_uv(rect.aspect_ratio(), aspect(photo)))
                .corner_radius(theme::CORNER)
                .paint_at(ui, rect);
        }
    }

    /// Paint a picture whole into the middle of `rect`, at the large texture's resolution.
    pub fn paint_whole(
        &mut self,
        ui: &egui::Ui,
        rect: egui::Rect,
        picture: Picture,
        photo: &Photo,
    ) {
        if let Some(texture) = self.texture(ui.ctx(), picture, photo, true) {
            egui::Image::from_texture(&texture)
                .corner_radius(theme::CORNER)
                .paint_at(
                    ui,
                    egui::Rect::from_center_size(rect.center(), fit(rect.size(), photo)),
                );
        }
    }
}

/// Width over height.
pub fn aspect(photo: &Photo) -> f32 {
    photo.width as f32 / photo.height.max(1) as f32
}

/// The largest size of a photo's shape within `room`.
pub fn fit(room: egui::Vec2, photo: &Photo) -> egui::Vec2 {
    let aspect = aspect(photo);
    if room.x / room.y.max(1.0) > aspect {
        egui::vec2(room.y * aspect, room.y)
    } else {
        egui::vec2(room.x, room.x / aspect)
    }
}

/// The middle part of a picture of shape `picture` that fills a frame of shape `frame`.
fn filling_uv(frame: f32, picture: f32) -> egui::Rect {
    let size = if frame > picture {
        egui::vec2(1.0, picture / frame)
    } else {
        egui::vec2(frame / picture, 1.0)
    };
    egui::Rect::from_center_size(egui::pos2(0.5, 0.5), size)
}
