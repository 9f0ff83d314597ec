//! The scene, live, in the middle of the window: gestures become moves of the camera, the newest parameters become
//! pictures, and a wipe lays the photo or the scene before the edit beside them.

use super::{
    camera::{CameraControl, Thrust},
    canvas::{Canvas, Pace, frozen_copy},
    crop, frusta,
    looked::Looked,
    present::{Before, Presenter},
    theme,
};
use crate::{
    Result,
    edit::{Drawable, Look},
    gpu::{Gpu, GpuImage},
    scene::{Camera, CropBox, Photo},
    worker::SceneInfo,
};
use eframe::{
    egui::{self, Key, PointerButton, Rect, Sense},
    egui_wgpu::RenderState,
};
use glam::DVec2;
use std::{collections::HashSet, sync::Arc};

/// Seconds without a move after which the camera counts as resting.
const REST_SECS: f64 = 0.18;
/// Photos are compared at no more than this: 16 bytes a pixel must fit into a binding.
const PHOTO_PIXELS: f64 = 4e6;
const ORBIT_RADIANS_PER_POINT: f64 = 0.006;
const FLY_KEYS: [Key; 6] = [Key::W, Key::A, Key::S, Key::D, Key::Q, Key::E];
/// Points around the wipe's line in which it can be grabbed.
const WIPE_REACH: f32 = 8.0;

/// What the wipe lays beside the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeKind {
    Photo(usize),
    Scene,
}

/// The viewport's state.
pub struct Viewport {
    gpu: Arc<Gpu>,
    pub camera: CameraControl,
    canvas: Canvas,
    presenter: Presenter,
    drawable: Option<(Drawable, u64)>,
    /// The scene before the last edit, in buffers of its own.
    before: Option<(Drawable, u64)>,
    /// Counts drawables, so that each has a number of its own whatever the trainer's counter says.
    serial: u64,
    photo: Option<(usize, GpuImage)>,
    pub wipe_on: bool,
    /// Share of the width that shows "before".
    wipe: f32,
    pub cameras_on: bool,
    /// What is shown of the scene.
    pub look: Look,
    looked: Looked,
    crop: Option<CropBox>,
    /// Physical keys held, of those that fly.
    held: HashSet<Key>,
    last_move: f64,
    /// Physical pixels, last frame.
    size: [u32; 2],
    has_been_moved: bool,
    settled: bool,
    /// Has the keyboard focus.
    pub has_focus: bool,
}

/// What happened in the viewport in this frame.
#[derive(Default)]
pub struct ViewportOutput {
    /// A capture camera was clicked.
    pub look_through: Option<usize>,
    /// The camera moved: the worker's thumbnails follow it.
    pub camera: Option<Camera>,
    /// For panels that lie on the viewport.
    pub rect: Option<Rect>,
}

impl Viewport {
    /// # Errors
    /// [`crate::Error::Gpu`] when the adapter cannot run the rasterizer.
    pub fn new(gpu: Arc<Gpu>, state: &RenderState) -> Result<Self> {
        Ok(Self {
            camera: CameraControl::default(),
            canvas: Canvas::new(gpu.clone())?,
            presenter: Presenter::new(&gpu, state),
            gpu,
            drawable: None,
            before: None,
            serial: 0,
            photo: None,
            wipe_on: false,
            wipe: 0.5,
            cameras_on: false,
            look: Look::Color,
            looked: Looked::default(),
            crop: None,
            held: HashSet::new(),
            last_move: f64::NEG_INFINITY,
            size: [1, 1],
            has_been_moved: false,
            settled: false,
            has_focus: false,
        })
    }

    /// Another scene was opened.
    pub fn open(&mut self, scene: &SceneInfo) {
        self.canvas.clear();
        self.drawable = None;
        self.before = None;
        self.photo = None;
        self.wipe_on = false;
        let cameras: Vec<Camera> = scene.views.iter().map(|v| v.camera).collect();
        self.camera
            .frame_scene(scene.center, scene.radius, scene.up, &cameras);
    }

    pub fn set_drawable(&mut self, drawable: Drawable) {
        self.serial += 1;
        self.drawable = Some((drawable, self.serial));
    }

    pub fn has_drawable(&self) -> bool {
        self.drawable.is_some()
    }

    pub fn splat_count(&self) -> Option<u32> {
        match &self.drawable {
            Some((Drawable::Splats(d), _)) => Some(d.splats.count),
            _ => None,
        }
    }

    /// Show only what is in a box; of a Luxen.
    pub fn set_crop(&mut self, crop: Option<CropBox>) {
        if self.crop != crop {
            self.crop = crop;
            self.serial += 1;
            if let Some((_, serial)) = &mut self.drawable {
                *serial = self.serial;
            }
        }
    }

    pub fn is_luxen(&self) -> bool {
        matches!(&self.drawable, Some((Drawable::Luxen(_), _)))
    }

    /// Keep a copy of what is drawn now as the scene before the edit.
    pub fn keep_before(&mut self) {
        if let Some((drawable, _)) = &self.drawable {
            self.serial += 1;
            self.before = Some((frozen_copy(&self.gpu, drawable), self.serial));
        }
    }

    pub fn before_kind(&self) -> Option<BeforeKind> {
        match self.camera.view_index() {
            Some(index) => Some(BeforeKind::Photo(index)),
            None => self.before.as_ref().map(|_| BeforeKind::Scene),
        }
    }

    /// Nothing is on its way: the picture shown is the one of the newest parameters and camera.
    pub fn is_settled(&self) -> bool {
        self.settled && !self.canvas.is_busy()
    }

    /// Draw the scene into what is left of `ui`.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the scene needs more than the adapter has, or the device is lost.
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        scene: &SceneInfo,
        is_live: bool,
    ) -> Result<ViewportOutput> {
        let mut output = ViewportOutput::default();
        let (rect, response) = ui.allocate_exact_size(ui.available_size(), Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, "Viewport"));
        output.rect = Some(rect);
        let pixels_per_point = ui.pixels_per_point();
        self.size = [rect.width(), rect.height()]
            .map(|side| ((side * pixels_per_point).round() as u32).max(1));

        let moved = self.gestures(ui, &response, rect);
        let now = ui.input(|i| i.time);
        if moved {
            self.last_move = now;
            self.has_been_moved = true;
        }
        let pace = if now - self.last_move < REST_SECS || self.camera.is_flying() {
            ui.ctx().request_repaint_after_secs(REST_SECS as f32);
            Pace::Moving
        } else if is_live {
            Pace::Live
        } else {
            Pace::Still
        };
        self.draw(ui, rect, scene, pace)?;

        let painter = ui.painter_at(rect);
        self.paint_frame(&painter, rect);
        let points = self
            .camera
            .camera([rect.width() as u32, rect.height() as u32]);
        if self.cameras_on && self.camera.through(self.size).is_none() {
            let pointer = response.hover_pos();
            let depth = 0.06 * scene.radius;
            let hit = frusta::show(&painter, rect, &points, &scene.views, depth, pointer);
            if let Some(index) = hit {
                let name = &scene.views[index].name;
                if response.clicked() {
                    output.look_through = Some(index);
                }
                response
                    .clone()
                    .on_hover_cursor(egui::CursorIcon::PointingHand)
                    .on_hover_text(name);
            }
        }
        if let Some(crop) = self.crop.filter(|_| self.is_luxen()) {
            crop::paint(&painter, rect, &points, &crop);
        }
        if self.wipe_on && self.before_kind().is_some() {
            self.wipe_handle(ui, rect);
        }
        if moved || pace == Pace::Moving {
            output.camera = Some(points);
        }
        if response.double_clicked()
            && let Some(pointer) = response.interact_pointer_pos()
        {
            let at = (pointer - rect.min) / rect.size();
            self.canvas.start_pick([f64::from(at.x), f64::from(at.y)]);
        }
        if !self.has_been_moved {
            hint(&painter, rect);
        }
        Ok(output)
    }

    /// Ask for a picture of what is there now, and paint the newest finished one.
    fn draw(&mut self, ui: &egui::Ui, rect: Rect, scene: &SceneInfo, pace: Pace) -> Result<()> {
        self.gpu.device.poll(wgpu::PollType::Poll).map_err(|e| {
            crate::Error::Gpu(format!("the graphics device stopped answering: {e}"))
        })?;
        self.canvas.poll()?;
        if let Some(point) = self.canvas.picked()? {
            self.camera.focus_on(point);
        }
        let kind = self.before_kind().filter(|_| self.wipe_on);
        if let Some((drawable, serial)) = &self.drawable {
            let mut cropped = drawable.clone();
            if let Drawable::Luxen(luxen) = &mut cropped {
                luxen.crop = self.crop;
            }
            // A coarse picture at once, rather than none for as long as a sharp one takes.
            let pace = match self.canvas.shown() {
                Some(_) => pace,
                None => Pace::Moving,
            };
            let camera = self.camera.camera(self.canvas.render_size(self.size, pace));
            let before = self
                .before
                .as_ref()
                .filter(|_| kind == Some(BeforeKind::Scene));
            let before = before.map(|(d, n)| (d, *n));
            self.settled = self
                .canvas
                .request((&cropped, *serial), before, &camera, pace)?
                && pace != Pace::Moving;
        }
        if !self.is_settled() {
            let secs = if self.canvas.is_busy() { 0.012 } else { 0.1 };
            ui.ctx().request_repaint_after_secs(secs);
        }
        if let Some(BeforeKind::Photo(index)) = kind {
            self.upload_photo(index, &scene.views[index].photo);
        }
        let Some(frame) = self.canvas.shown() else {
            return Ok(());
        };
        let before = match kind {
            Some(BeforeKind::Scene) => frame.before.as_ref().map(|image| Before {
                image,
                rect: [0.0, 0.0, 1.0, 1.0],
                wipe: self.wipe,
            }),
            Some(BeforeKind::Photo(_)) => self.camera.through(self.size).and_then(|(_, place)| {
                let (_, image) = self.photo.as_ref()?;
                Some(Before {
                    image,
                    rect: place.map(|v| v as f32),
                    wipe: self.wipe,
                })
            }),
            None => None,
        };
        let looked = (self.look != Look::Color).then_some(&mut self.looked);
        let image = match looked {
            Some(looked) => {
                looked.image(&self.gpu, frame, self.canvas.finished(), self.look, scene)?
            }
            None => &frame.image,
        };
        ui.painter().add(
            self.presenter
                .shape(&self.gpu, rect, image, before.as_ref()),
        );
        Ok(())
    }

    fn upload_photo(&mut self, index: usize, photo: &Photo) {
        if self.photo.as_ref().is_none_or(|(known, _)| *known != index) {
            let pixels = f64::from(photo.width) * f64::from(photo.height);
            let shrunk = photo.downscaled((pixels / PHOTO_PIXELS).sqrt().ceil() as u32);
            self.photo = Some((index, GpuImage::from_float(&self.gpu, &shrunk.to_float())));
        }
    }

    /// Turn pointer and keys into moves of the camera. Returns whether it moved.
    fn gestures(&mut self, ui: &egui::Ui, response: &egui::Response, rect: Rect) -> bool {
        let dt = f64::from(ui.input(|i| i.stable_dt)).min(0.1);
        let mut moved = self.camera.advance(dt);
        if response.clicked() || response.drag_started() {
            response.request_focus();
        }
        self.has_focus = response.has_focus();
        let arrows = egui::EventFilter {
            horizontal_arrows: true,
            vertical_arrows: true,
            ..egui::EventFilter::default()
        };
        ui.memory_mut(|m| m.set_focus_lock_filter(response.id, arrows));
        let pixels = |points: egui::Vec2| {
            let scale = f64::from(ui.pixels_per_point());
            DVec2::new(f64::from(points.x), f64::from(points.y)) * scale
        };
        let modifiers = ui.input(|i| i.modifiers);
        let drag = response.drag_delta();
        let thrust = self.thrust(ui, response);
        if drag != egui::Vec2::ZERO {
            let pans = response.dragged_by(PointerButton::Middle)
                || response.dragged_by(PointerButton::Secondary)
                || modifiers.shift;
            let turn = -egui::vec2(drag.x, drag.y) * ORBIT_RADIANS_PER_POINT as f32;
            let (yaw, pitch) = (f64::from(turn.x), f64::from(turn.y));
            if thrust.is_some() || modifiers.alt {
                self.camera.look(yaw, pitch);
            } else if pans {
                self.camera.pan(pixels(drag), self.size);
            } else {
                self.camera.orbit(yaw, pitch);
            }
            moved = true;
        }
        if let Some(thrust) = thrust {
            let speed = if modifiers.shift { 4.0 } else { 1.0 };
            self.camera.thrust(thrust, dt, speed);
            ui.ctx().request_repaint();
            moved = true;
        }
        if response.hovered() {
            let (scroll, pinch) = ui.input(|i| (i.smooth_scroll_delta().y, i.zoom_delta()));
            let factor = (-0.0025 * f64::from(scroll)).exp() / f64::from(pinch);
            if let Some(pointer) = response.hover_pos()
                && (factor - 1.0).abs() > 1e-6
            {
                self.camera
                    .zoom(factor, pixels(pointer - rect.min), self.size);
                moved = true;
            }
        }
        moved
    }

    /// Flying with the keys at WASD and QE, by their place on the keyboard, while the viewport has the focus or a
    /// button is held on it.
    fn thrust(&mut self, ui: &egui::Ui, response: &egui::Response) -> Option<Thrust> {
        let listens = response.has_focus() || response.is_pointer_button_down_on();
        if !listens {
            self.held.clear();
            return None;
        }
        ui.input(|i| {
            for event in &i.raw.events {
                if let egui::Event::Key {
                    key,
                    physical_key,
                    pressed,
                    modifiers,
                    ..
                } = event
                {
                    let key = physical_key.unwrap_or(*key);
                    if *pressed && FLY_KEYS.contains(&key) && !modifiers.command {
                        self.held.insert(key);
                    } else if !pressed {
                        self.held.remove(&key);
                    }
                }
            }
            if !i.focused {
                self.held.clear();
            }
        });
        let axis = |plus: Key, minus: Key| {
            f64::from(u8::from(self.held.contains(&plus)))
                - f64::from(u8::from(self.held.contains(&minus)))
        };
        let thrust = Thrust {
            right: axis(Key::D, Key::A),
            up: axis(Key::E, Key::Q),
            forward: axis(Key::W, Key::S),
        };
        (thrust != Thrust::default()).then_some(thrust)
    }

    /// Darken what lies outside the picture of the training view that the camera looks through.
    fn paint_frame(&self, painter: &egui::Painter, rect: Rect) {
        let Some((_, place)) = self.camera.through(self.size) else {
            return;
        };
        let at = |x: f64, y: f64| {
            rect.min + egui::vec2(x as f32 * rect.width(), y as f32 * rect.height())
        };
        let inside = Rect::from_min_max(at(place[0], place[1]), at(place[2], place[3]));
        for bar in [
            Rect::from_min_max(rect.min, egui::pos2(rect.max.x, inside.min.y)),
            Rect::from_min_max(egui::pos2(rect.min.x, inside.max.y), rect.max),
            Rect::from_min_max(
                egui::pos2(rect.min.x, inside.min.y),
                egui::pos2(inside.min.x, inside.max.y),
            ),
            Rect::from_min_max(
                egui::pos2(inside.max.x, inside.min.y),
                egui::pos2(rect.max.x, inside.max.y),
            ),
        ] {
            if bar.is_positive() {
                painter.rect_filled(bar, 0.0, theme::SHADE);
            }
        }
        let stroke = egui::Stroke::new(1.0, theme::TEXT_WEAK);
        painter.rect_stroke(inside, 0.0, stroke, egui::StrokeKind::Inside);
    }

    fn wipe_handle(&mut self, ui: &mut egui::Ui, rect: Rect) {
        let x = rect.min.x + self.wipe * rect.width();
        let grip = Rect::from_x_y_ranges(x - WIPE_REACH..=x + WIPE_REACH, rect.y_range());
        let response = ui.interact(grip, ui.scope_id().with("wipe"), Sense::drag());
        response.widget_info(|| {
            egui::WidgetInfo::slider(true, f64::from(self.wipe), "Before and after wipe")
        });
        let response = response.on_hover_and_drag_cursor(egui::CursorIcon::ResizeHorizontal);
        if let Some(pointer) = response
            .interact_pointer_pos()
            .filter(|_| response.dragged())
        {
            self.wipe = ((pointer.x - rect.min.x) / rect.width()).clamp(0.02, 0.98);
        }
        let x = rect.min.x + self.wipe * rect.width();
        let painter = ui.painter_at(rect);
        let is_held = response.hovered() || response.dragged();
        let color = if is_held {
            theme::ACCENT
        } else {
            theme::TEXT_STRONG
        };
        painter.vline(x, rect.y_range(), egui::Stroke::new(2.0, color));
        let knob = egui::pos2(x, rect.center().y);
        painter.circle(knob, 13.0, theme::OVERLAY, egui::Stroke::new(2.0, color));
        for side in [-1.0, 1.0] {
            let tip = knob + egui::vec2(8.0 * side, 0.0);
            let base = knob + egui::vec2(3.5 * side, 0.0);
            painter.add(egui::Shape::convex_polygon(
                vec![
                    tip,
                    base + egui::vec2(0.0, 4.0),
                    base - egui::vec2(0.0, 4.0),
                ],
                color,
                egui::Stroke::NONE,
            ));
        }
        let (left, right) = match self.before_kind() {
            Some(BeforeKind::Photo(_)) => ("Photo", "Scene"),
            _ => ("Before", "After"),
        };
        let y = rect.max.y - 20.0;
        tag(
            &painter,
            egui::pos2(x - 12.0, y),
            egui::Align2::RIGHT_CENTER,
            left,
        );
        tag(
            &painter,
            egui::pos2(x + 12.0, y),
            egui::Align2::LEFT_CENTER,
            right,
        );
    }
}

/// Text on the scene, on a dark pill.
fn tag(painter: &egui::Painter, at: egui::Pos2, anchor: egui::Align2, text: &str) {
    let font = egui::FontId::proportional(12.0);
    let galley = painter.layout_no_wrap(text.to_owned(), font, theme::TEXT_STRONG);
    let place = anchor.anchor_size(at, galley.size());
    painter.rect_filled(place.expand2(egui::vec2(7.0, 3.0)), 9.0, theme::OVERLAY);
    painter.galley(place.min, galley, theme::TEXT_STRONG);
}

fn hint(painter: &egui::Painter, rect: Rect) {
    let text = "Drag to orbit · right-drag to pan · wheel to zoom · click, then WASD to fly";
    let at = egui::pos2(rect.center().x, rect.max.y - 20.0);
    tag(painter, at, egui::Align2::CENTER_CENTER, text);
}
