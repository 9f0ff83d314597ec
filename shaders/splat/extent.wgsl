// The tiles that the ellipse {alpha ≥ ALPHA_MIN} touches, row by row. Spans are a hair wide, never narrow: the pixels
// test alpha themselves.
struct Ellipse {
    mean: vec2<f32>,
    extent: vec2<f32>,
    // Half width along x through the mean.
    half_width: f32,
    // dx of the ridge per dy.
    shear: f32,
    // dy where x is largest.
    top_of_x: f32,
}

const SLACK: f32 = 1.001;
const SLACK_PIXELS: f32 = 0.01;

// Quadratic form where alpha falls to ALPHA_MIN.
fn cut_of(opacity: f32) -> f32 {
    return 2.0 * log(opacity / ALPHA_MIN);
}

fn ellipse_of(mean: vec2<f32>, conic: vec3<f32>, cut: f32, extent: vec2<f32>) -> Ellipse {
    return Ellipse(
        mean,
        extent * SLACK,
        sqrt(cut / conic.x) * SLACK,
        -conic.y / conic.x,
        -conic.y / conic.z * extent.x,
    );
}

// First and one past the last of `count` pixels whose centres lie in [low, high].
fn pixel_span(low: f32, high: f32, count: u32) -> vec2<u32> {
    let limit = f32(count);
    let first = clamp(ceil(low - 0.5 - SLACK_PIXELS), 0.0, limit);
    let end = clamp(floor(high - 0.5 + SLACK_PIXELS) + 1.0, 0.0, limit);
    return vec2(u32(first), u32(max(end, first)));
}

// First and one past the last tile row.
fn tile_rows(e: Ellipse) -> vec2<u32> {
    let span = pixel_span(e.mean.y - e.extent.y, e.mean.y + e.extent.y, view.size.y);
    if span.y <= span.x {
        return vec2(0u);
    }
    return vec2(span.x / TILE.y, (span.y - 1u) / TILE.y + 1u);
}

// First and one past the last tile of a row.
fn tiles_in_row(e: Ellipse, row: u32) -> vec2<u32> {
    let low = f32(row * TILE.y) + 0.5 - e.mean.y;
    let high = f32(min(row * TILE.y + TILE.y, view.size.y)) - 0.5 - e.mean.y;
    let right = clamp(e.top_of_x, low, high);
    let left = clamp(-e.top_of_x, low, high);
    let right_part = right / e.extent.y;
    let left_part = left / e.extent.y;
    let x_right = e.mean.x + e.shear * right + e.half_width * sqrt(max(0.0, 1.0 - right_part * right_part));
    let x_left = e.mean.x + e.shear * left - e.half_width * sqrt(max(0.0, 1.0 - left_part * left_part));
    let span = pixel_span(
        max(x_left, e.mean.x - e.extent.x),
        min(x_right, e.mean.x + e.extent.x),
        view.size.x,
    );
    if span.y <= span.x {
        return vec2(0u);
    }
    return vec2(span.x / TILE.x, (span.y - 1u) / TILE.x + 1u);
}
