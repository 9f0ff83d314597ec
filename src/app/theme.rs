//! Design tokens: the only place that names a colour, a size or a distance. Panels ask for a role ("weak text",
//! "accent"), so that the window stays one calm picture in which the scene is the only bright thing.

use eframe::egui::{
    self, Color32, CornerRadius, FontFamily, FontId, Margin, Shadow, Stroke, TextStyle, Vec2,
    style::{HandleShape, ScrollStyle, Selection, WidgetVisuals, Widgets},
};

/// Behind everything: the viewport's surroundings, text fields.
pub const SUNKEN: Color32 = Color32::from_rgb(0x10, 0x12, 0x14);
/// Panels.
pub const PANEL: Color32 = Color32::from_rgb(0x1a, 0x1c, 0x1f);
/// Cards and windows on top of panels.
pub const RAISED: Color32 = Color32::from_rgb(0x22, 0x25, 0x29);
/// Buttons at rest, under the pointer, and pressed.
pub const CONTROL: Color32 = Color32::from_rgb(0x2c, 0x30, 0x35);
pub const CONTROL_HOVERED: Color32 = Color32::from_rgb(0x38, 0x3d, 0x44);
pub const CONTROL_PRESSED: Color32 = Color32::from_rgb(0x25, 0x29, 0x2d);
/// Lines between things.
pub const LINE: Color32 = Color32::from_rgb(0x31, 0x35, 0x3a);
pub const TEXT: Color32 = Color32::from_rgb(0xd3, 0xd7, 0xdb);
pub const TEXT_STRONG: Color32 = Color32::from_rgb(0xf4, 0xf6, 0xf7);
pub const TEXT_WEAK: Color32 = Color32::from_rgb(0x97, 0x9f, 0xa7);
/// The one colour of the tool itself: what is chosen, what goes on, what to press next.
pub const ACCENT: Color32 = Color32::from_rgb(0x58, 0xb8, 0xa8);
pub const ON_ACCENT: Color32 = Color32::from_rgb(0x07, 0x1d, 0x19);
/// Text on [`ACCENT_MUTED`], and the frame of a text field that is typed in.
pub const ACCENT_LIGHT: Color32 = Color32::from_rgb(0xa9, 0xe2, 0xd8);
/// Behind selected text and selected items.
pub const ACCENT_MUTED: Color32 = Color32::from_rgb(0x1f, 0x49, 0x43);
pub const WARNING: Color32 = Color32::from_rgb(0xe3, 0xb3, 0x5c);
pub const WARNING_MUTED: Color32 = Color32::from_rgb(0x3a, 0x30, 0x1c);
pub const ERROR: Color32 = Color32::from_rgb(0xf0, 0x83, 0x79);
pub const ERROR_MUTED: Color32 = Color32::from_rgb(0x40, 0x20, 0x1f);
/// The second line of a plot, capture cameras.
pub const SECOND: Color32 = Color32::from_rgb(0x8f, 0xae, 0xe0);
/// Over the scene, around the picture that a training view covers.
pub const SHADE: Color32 = Color32::from_black_alpha(150);
/// Behind text that lies on the scene.
pub const OVERLAY: Color32 = Color32::from_black_alpha(170);

pub const CORNER: u8 = 5;
pub const GAP: f32 = 8.0;
pub const SECTION_GAP: f32 = 14.0;
pub const PANEL_MARGIN: i8 = 12;
pub const ROW_HEIGHT: f32 = 26.0;

/// Width of the side panel, points.
pub const SIDE_PANEL: f32 = 312.0;
/// Height of the pictures in the strip of edited views and of the timeline, points.
pub const REEL_PICTURE: f32 = 76.0;
pub const TIMELINE_PICTURE: f32 = 58.0;

/// Give the tokens to egui. Idempotent.
pub fn apply(ctx: &egui::Context) {
    ctx.set_theme(egui::Theme::Dark);
    ctx.all_styles_mut(|style| {
        let font = |size| FontId::new(size, FontFamily::Proportional);
        style.text_styles = [
            (TextStyle::Small, font(11.5)),
            (TextStyle::Body, font(13.5)),
            (TextStyle::Button, font(13.5)),
            (TextStyle::Heading, font(17.0)),
            (
                TextStyle::Monospace,
                FontId::new(12.5, FontFamily::Monospace),
            ),
        ]
        .into();
        style.always_scroll_the_only_direction = true;
        let spacing = &mut style.spacing;
        spacing.item_spacing = Vec2::new(GAP, 6.0);
        spacing.button_padding = Vec2::new(10.0, 4.0);
        spacing.interact_size = Vec2::new(40.0, ROW_HEIGHT);
        spacing.menu_margin = Margin::same(6);
        spacing.window_margin = Margin::same(14);
        spacing.slider_rail_height = 5.0;
        spacing.tooltip_width = 320.0;
        spacing.scroll = ScrollStyle::thin();
        let visuals = &mut style.visuals;
        visuals.widgets = widgets();
        visuals.selection = Selection {
            bg_fill: ACCENT_MUTED,
            stroke: Stroke::new(1.0, ACCENT_LIGHT),
        };
        visuals.weak_text_color = Some(TEXT_WEAK);
        visuals.hyperlink_color = ACCENT;
        visuals.faint_bg_color = RAISED;
        visuals.extreme_bg_color = SUNKEN;
        visuals.code_bg_color = RAISED;
        visuals.warn_fg_color = WARNING;
        visuals.error_fg_color = ERROR;
        visuals.panel_fill = PANEL;
        visuals.window_fill = RAISED;
        visuals.window_stroke = Stroke::new(1.0, LINE);
        visuals.window_corner_radius = CornerRadius::same(CORNER + 3);
        visuals.menu_corner_radius = CornerRadius::same(CORNER + 1);
        let shadow = Shadow {
            offset: [0, 6],
            blur: 18,
            spread: 0,
            color: Color32::from_black_alpha(110),
        };
        visuals.window_shadow = shadow;
        visuals.popup_shadow = shadow;
        visuals.slider_trailing_fill = true;
        visuals.handle_shape = HandleShape::Circle;
        visuals.indent_has_left_vline = false;
        visuals.disabled_alpha = 0.45;
    });
}

fn widgets() -> Widgets {
    let look = |fill, stroke, text, width| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(1.0, stroke),
        corner_radius: CornerRadius::same(CORNER),
        fg_stroke: Stroke::new(width, text),
        expansion: 0.0,
    };
    Widgets {
        noninteractive: look(PANEL, LINE, TEXT, 1.0),
        inactive: look(CONTROL, CONTROL, TEXT, 1.0),
        hovered: look(CONTROL_HOVERED, CONTROL_HOVERED, TEXT_STRONG, 1.5),
        active: look(CONTROL_PRESSED, ACCENT, TEXT_STRONG, 1.5),
        open: look(CONTROL_HOVERED, CONTROL_HOVERED, TEXT_STRONG, 1.0),
    }
}

/// The button to press next.
pub fn primary_button(text: &str) -> egui::Button<'_> {
    egui::Button::new(egui::RichText::new(text).color(ON_ACCENT).strong()).fill(ACCENT)
}

/// Small round buttons from here on, that flow like words.
pub fn chips(ui: &mut egui::Ui) {
    let spacing = ui.spacing_mut();
    spacing.item_spacing = Vec2::splat(4.0);
    spacing.button_padding = Vec2::new(9.0, 2.0);
    spacing.interact_size.y = 20.0;
    let widgets = &mut ui.visuals_mut().widgets;
    for look in [
        &mut widgets.inactive,
        &mut widgets.hovered,
        &mut widgets.active,
        &mut widgets.open,
    ] {
        look.corner_radius = CornerRadius::same(10);
    }
}

/// A triangle with an exclamation mark, as tall as a line of text.
pub fn warning_icon(ui: &mut egui::Ui, color: Color32) -> egui::Response {
    let size = ui.text_style_height(&TextStyle::Body);
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(size), egui::Sense::hover());
    let rect = rect.shrink(1.0);
    let painter = ui.painter();
    let corners = vec![rect.center_top(), rect.right_bottom(), rect.left_bottom()];
    painter.add(egui::Shape::closed_line(corners, Stroke::new(1.3, color)));
    let x = rect.center().x;
    let (top, bottom) = (rect.top() + 0.4 * size, rect.bottom() - 3.6);
    painter.vline(x, top..=bottom - 1.2, Stroke::new(1.4, color));
    painter.circle_filled(egui::pos2(x, bottom + 1.2), 0.8, color);
    response
}

/// Title of a section of a panel.
pub fn section(ui: &mut egui::Ui, text: &str) -> egui::Response {
    ui.label(egui::RichText::new(text).color(TEXT_STRONG).strong())
}

/// Secondary text.
pub fn weak(text: impl Into<String>) -> egui::RichText {
    egui::RichText::new(text).color(TEXT_WEAK)
}

/// Secondary text in the small size.
pub fn small(text: impl Into<String>) -> egui::RichText {
    weak(text).small()
}

/// A dialog over the window.
pub fn dialog(id: &'static str) -> egui::Modal {
    let frame = egui::Frame::new()
        .fill(RAISED)
        .stroke(Stroke::new(1.0, LINE))
        .corner_radius(CORNER + 3)
        .inner_margin(18);
    egui::Modal::new(egui::Id::unique(id)).frame(frame)
}

/// A frame for side and bottom panels.
pub fn panel_frame() -> egui::Frame {
    egui::Frame::new()
        .fill(PANEL)
        .inner_margin(Margin::symmetric(PANEL_MARGIN, PANEL_MARGIN - 4))
}
