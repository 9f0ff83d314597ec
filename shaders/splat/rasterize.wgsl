// Front to back over a tile's splats, one group a tile. No shared memory: each splat is loaded once for a whole block.
@group(0) @binding(1) var<storage, read> projected: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> intersections: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> tile_ranges: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read_write> image: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> depths: array<f32>;
// (final transmittance, end of the list as the pixel saw it).
@group(0) @binding(6) var<storage, read_write> pixel_ends: array<vec2<u32>>;

struct Row {
    transmittance: vec4<f32>,
    r: vec4<f32>,
    g: vec4<f32>,
    b: vec4<f32>,
    depth: vec4<f32>,
    end: vec4<u32>,
    live: vec4<bool>,
}

struct Splat {
    conic: vec3<f32>,
    opacity: f32,
    color: vec3<f32>,
    depth: f32,
}

fn start_row(inside: vec4<bool>, y: u32, first: u32) -> Row {
    var row: Row;
    row.transmittance = vec4(1.0);
    row.end = vec4(first);
    row.live = inside & vec4(y < view.size.y);
    return row;
}

fn blend(row: ptr<function, Row>, s: Splat, dx: vec4<f32>, dy: f32, next: u32) {
    let sigma = 0.5 * (s.conic.x * dx * dx + s.conic.z * dy * dy) + s.conic.y * dy * dx;
    let alpha = min(vec4(ALPHA_MAX), s.opacity * exp(-sigma));
    let hit = (*row).live & (sigma >= vec4(0.0)) & (alpha >= vec4(ALPHA_MIN));
    let after = (*row).transmittance * (1.0 - alpha);
    let stop = hit & (after <= vec4(TRANSMITTANCE_MIN));
    let used = hit & (after > vec4(TRANSMITTANCE_MIN));
    let weight = select(vec4(0.0), alpha * (*row).transmittance, used);
    (*row).live = (*row).live & !stop;
    (*row).r += weight * s.color.r;
    (*row).g += weight * s.color.g;
    (*row).b += weight * s.color.b;
    (*row).depth += weight * s.depth;
    (*row).transmittance = select((*row).transmittance, after, used);
    (*row).end = select((*row).end, vec4(next), used);
}

fn write_row(row: Row, pixel: vec2<u32>) {
    if pixel.y >= view.size.y {
        return;
    }
    for (var k = 0u; k < COLUMNS; k++) {
        if pixel.x + k < view.size.x {
            let i = pixel.y * view.size.x + pixel.x + k;
            let t = row.transmittance[k];
            image[i] = vec4(vec3(row.r[k], row.g[k], row.b[k]) + t * view.background.rgb, 1.0 - t);
            pixel_ends[i] = vec2(bitcast<u32>(t), row.end[k]);
            if view.depth != 0u {
                depths[i] = row.depth[k];
            }
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let origin = block_origin(tile.xy, local);
    let range = tile_ranges[tile.y * view.tiles.x + tile.x];
    let columns = columns_from(origin.x);
    let inside = columns < vec4(view.size.x);
    let x = vec4<f32>(columns) + 0.5;
    let y = f32(origin.y) + 0.5;
    var a = start_row(inside, origin.y, range.x);
    var b = start_row(inside, origin.y + 1u, range.x);
    var c = start_row(inside, origin.y + 2u, range.x);
    var d = start_row(inside, origin.y + 3u, range.x);
    for (var i = range.x; i < range.y; i++) {
        var live = a.live | b.live;
        if ROWS == 4u {
            live = live | c.live | d.live;
        }
        if !any(live) {
            break;
        }
        let splat = PROJECTED * intersections[i].x;
        let p0 = projected[splat];
        let p1 = projected[splat + 1u];
        let p2 = projected[splat + 2u];
        let s = Splat(vec3(p0.zw, p1.x), p1.y, p2.rgb, p1.z);
        let dx = p0.x - x;
        let dy = p0.y - y;
        blend(&a, s, dx, dy, i + 1u);
        blend(&b, s, dx, dy - 1.0, i + 1u);
        if ROWS == 4u {
            blend(&c, s, dx, dy - 2.0, i + 1u);
            blend(&d, s, dx, dy - 3.0, i + 1u);
        }
    }
    write_row(a, origin);
    write_row(b, origin + vec2(0u, 1u));
    if ROWS == 4u {
        write_row(c, origin + vec2(0u, 2u));
        write_row(d, origin + vec2(0u, 3u));
    }
}
