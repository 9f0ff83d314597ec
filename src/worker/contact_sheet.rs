//! Pictures of a grid of settings on one sheet, its rows and columns named with their values, so that a sheet that is
//! found a week later still says what it shows.

use super::try_out::Grid;
use crate::{scene::Photo, settings::Settings};
use eframe::egui::{
    Color32, FontId,
    epaint::text::{FontDefinitions, Fonts, FontsView, TextOptions},
};

/// Longest side of a picture on the sheet, pixels.
const LARGEST: u32 = 512;
/// Least width of a column, pixels: its name needs room.
const NARROWEST: usize = 88;
const MARGIN: usize = 16;
const GAP: usize = 8;
const TEXT: f32 = 17.0;
const BACKGROUND: [u8; 3] = [0x1a, 0x1c, 0x1f];

/// `pictures` in the order of [`Grid::trials`], beside the `original`.
pub(super) fn contact_sheet(
    prompt: &str,
    original: &Photo,
    grid: &Grid,
    pictures: &[Photo],
) -> Photo {
    let shrink = |photo: &Photo| photo.downscaled(photo.width.max(photo.height).div_ceil(LARGEST));
    let original = shrink(original);
    let column = (original.width as usize).max(NARROWEST);
    let mut fonts = Fonts::new(TextOptions::default(), FontDefinitions::default());
    let mut fonts = fonts.with_pixels_per_point(1.0);
    let line = fonts.row_height(&FontId::proportional(TEXT)).ceil() as usize;

    let label = |key: &'static str| Settings::info(key).map_or(key, |s| s.label);
    let rows = grid.rows();
    let row_names: Vec<String> = rows
        .iter()
        .map(|(scale, seed)| match grid.seeds.len() {
            1 => scale.to_string(),
            _ => format!("{scale}\nseed {seed}"),
        })
        .collect();
    let row_axis = label("image_guidance_scale");
    let names_width = row_names
        .iter()
        .flat_map(|name| name.lines())
        .chain([row_axis])
        .map(|text| width_of(&mut fonts, text))
        .max()
        .unwrap_or(0);

    let columns = grid.guidance_scales.len();
    let first = MARGIN + column + 2 * GAP + names_width + 2 * GAP;
    let width = first + columns * (column + GAP) - GAP + MARGIN;
    let wrap = (width - 2 * MARGIN) as f32;
    let title = format!("“{prompt}”");
    let font = FontId::proportional(TEXT);
    let title_size = fonts
        .layout(title.clone(), font, Color32::WHITE, wrap)
        .size();
    let top = MARGIN + title_size.y.ceil() as usize + GAP;
    let first_row = top + 2 * line + GAP;
    let row_height = (original.height as usize).max(2 * line) + GAP;
    let height = first_row + rows.len() * row_height - GAP + MARGIN;
    let mut sheet = Sheet::new(width, height);

    let names_end = first - 2 * GAP;
    sheet.write(&mut fonts, &title, wrap, [MARGIN, MARGIN]);
    sheet.write(&mut fonts, "Original", wrap, [MARGIN, top + line]);
    let axis = [names_end - width_of(&mut fonts, row_axis), top + line];
    sheet.write(&mut fonts, row_axis, wrap, axis);
    sheet.write(&mut fonts, label("guidance_scale"), wrap, [first, top]);
    for (i, scale) in grid.guidance_scales.iter().enumerate() {
        let at = [first + i * (column + GAP), top + line];
        sheet.write(&mut fonts, &scale.to_string(), wrap, at);
    }
    sheet.paste(&original, MARGIN, first_row);
    for (row, name) in row_names.iter().enumerate() {
        let y = first_row + row * row_height;
        for (i, text) in name.lines().enumerate() {
            let at = [names_end - width_of(&mut fonts, text), y + i * line];
            sheet.write(&mut fonts, text, wrap, at);
        }
        for i in 0..columns {
            if let Some(picture) = pictures.get(row * columns + i) {
                sheet.paste(&shrink(picture), first + i * (column + GAP), y);
            }
        }
    }
    Photo::new(width as u32, height as u32, sheet.rgb)
}

fn width_of(fonts: &mut FontsView<'_>, text: &str) -> usize {
    let galley = fonts.layout_no_wrap(text.to_owned(), FontId::proportional(TEXT), Color32::WHITE);
    galley.size().x.ceil() as usize
}

struct Sheet {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Sheet {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            rgb: BACKGROUND.repeat(width * height),
        }
    }

    /// What reaches beyond the sheet is cut off.
    fn paste(&mut self, photo: &Photo, x: usize, y: usize) {
        let width = (photo.width as usize).min(self.width.saturating_sub(x));
        for row in 0..(photo.height as usize).min(self.height.saturating_sub(y)) {
            let from = row * photo.width as usize * 3;
            let to = ((y + row) * self.width + x) * 3;
            self.rgb[to..to + 3 * width].copy_from_slice(&photo.rgb[from..from + 3 * width]);
        }
    }

    /// White text with its top left corner at `x`, `y`, wrapped to `wrap` pixels.
    fn write(&mut self, fonts: &mut FontsView<'_>, text: &str, wrap: f32, [x, y]: [usize; 2]) {
        let font = FontId::proportional(TEXT);
        let galley = fonts.layout(text.to_owned(), font, Color32::WHITE, wrap);
        let atlas = fonts.image();
        for row in &galley.rows {
            for glyph in &row.row.glyphs {
                let at = row.pos + (glyph.pos + glyph.uv_rect.offset).to_vec2();
                let left = x as i64 + at.x.round() as i64;
                let top = y as i64 + at.y.round() as i64;
                let (min, max) = (glyph.uv_rect.min, glyph.uv_rect.max);
                for v in min[1]..max[1] {
                    for u in min[0]..max[0] {
                        let alpha =
                            atlas.pixels[usize::from(v) * atlas.size[0] + usize::from(u)].a();
                        self.blend(
                            left + i64::from(u - min[0]),
                            top + i64::from(v - min[1]),
                            alpha,
                        );
                    }
                }
            }
        }
    }

    /// White over what is there.
    fn blend(&mut self, x: i64, y: i64, alpha: u8) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x >= self.width || y >= self.height {
            return;
        }
        let alpha = u32::from(alpha);
        for value in &mut self.rgb[(y * self.width + x) * 3..][..3] {
            *value = ((255 * alpha + u32::from(*value) * (255 - alpha)) / 255) as u8;
        }
    }
}
