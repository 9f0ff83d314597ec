// Back to front over a tile's splats. Every intersection has a slot of its own for its sums over the tile's pixels, so
// nothing is added atomically: threads leave their sums of a batch in shared memory, then add up the batch's splats, PARTS
// threads a splat, always in the order of the threads.
//
// With q = v·color + v_depth·depth for the cotangents v of a pixel, and S the sum over everything behind a splat
// (background and alpha included), dL/dalpha = T q − S / (1 − alpha).
@group(0) @binding(1) var<storage, read> projected: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> intersections: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> tile_ranges: array<vec2<u32>>;
@group(0) @binding(4) var<storage, read> pixel_ends: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read> d_image: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> d_depths: array<f32>;
// From slot `view.first` on, as `slots_b`. Per slot: Σd, Σd·dx, Σd·dy, Σd·dx², Σd·dx·dy with d = dL/dσ and (dx, dy) = mean2d − pixel; Σ|dL/dmean2d.x| if ABSOLUTE.
@group(0) @binding(7) var<storage, read_write> slots_a: array<f32>;
// Per slot: Σd·dy², Σ dL/drgb, Σ dL/ddepth; Σ|dL/dmean2d.y| if ABSOLUTE.
@group(0) @binding(8) var<storage, read_write> slots_b: array<f32>;

const SUMS: u32 = 2u * HALF;
// One more than needed keeps the threads on different banks.
const STRIDE: u32 = BATCH * SUMS + 1u;
var<workgroup> sums: array<f32, THREADS * STRIDE>;
var<workgroup> largest_end: atomic<u32>;
var<workgroup> tile_end: u32;

struct Row {
    transmittance: vec4<f32>,
    behind: vec4<f32>,
    r: vec4<f32>,
    g: vec4<f32>,
    b: vec4<f32>,
    depth: vec4<f32>,
    end: vec4<u32>,
}

struct Splat {
    conic: vec3<f32>,
    opacity: f32,
    color: vec3<f32>,
    depth: f32,
}

// Sums over a block.
struct Moments {
    d: f32,
    dx: f32,
    dy: f32,
    dxx: f32,
    dxy: f32,
    dyy: f32,
    color: vec3<f32>,
    depth: f32,
    absolute: vec2<f32>,
}

fn sum(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn unblend(row: ptr<function, Row>, m: ptr<function, Moments>, s: Splat, dx: vec4<f32>, dy: f32, i: u32) {
    let sigma = 0.5 * (s.conic.x * dx * dx + s.conic.z * dy * dy) + s.conic.y * dy * dx;
    let unclamped = s.opacity * exp(-sigma);
    let alpha = min(vec4(ALPHA_MAX), unclamped);
    let used = (vec4(i) < (*row).end) & (sigma >= vec4(0.0)) & (alpha >= vec4(ALPHA_MIN));
    let inverse = 1.0 / (1.0 - alpha);
    let before = (*row).transmittance * inverse;
    let weight = select(vec4(0.0), alpha * before, used);
    let q = (*row).r * s.color.r + (*row).g * s.color.g + (*row).b * s.color.b + (*row).depth * s.depth;
    let d_alpha = before * q - (*row).behind * inverse;
    let d = select(vec4(0.0), -d_alpha * unclamped, used & (unclamped <= vec4(ALPHA_MAX)));
    (*row).behind += weight * q;
    (*row).transmittance = select((*row).transmittance, before, used);
    let d_dx = d * dx;
    let sum_d = sum(d);
    let sum_dx = sum(d_dx);
    (*m).d += sum_d;
    (*m).dx += sum_dx;
    (*m).dy += sum_d * dy;
    (*m).dxx += sum(d_dx * dx);
    (*m).dxy += sum_dx * dy;
    (*m).dyy += sum_d * dy * dy;
    (*m).color += vec3(sum(weight * (*row).r), sum(weight * (*row).g), sum(weight * (*row).b));
    (*m).depth += sum(weight * (*row).depth);
    if ABSOLUTE {
        let d_dy = d * dy;
        (*m).absolute.x += sum(abs(s.conic.x * d_dx + s.conic.y * d_dy));
        (*m).absolute.y += sum(abs(s.conic.y * d_dx + s.conic.z * d_dy));
    }
}

fn read_row(origin: vec2<u32>) -> Row {
    var row: Row;
    row.transmittance = vec4(1.0);
    if origin.y < view.size.y {
        for (var k = 0u; k < COLUMNS; k++) {
            if origin.x + k < view.size.x {
                let i = origin.y * view.size.x + origin.x + k;
                let end = pixel_ends[i];
                let d = d_image[i];
                let t = bitcast<f32>(end.x);
                row.transmittance[k] = t;
                row.end[k] = end.y;
                row.r[k] = d.r;
                row.g[k] = d.g;
                row.b[k] = d.b;
                row.behind[k] = t * (dot(d.rgb, view.background.rgb) - d.a);
                if view.depth != 0u {
                    row.depth[k] = d_depths[i];
                }
            }
        }
    }
    return row;
}

fn largest(v: vec4<u32>) -> u32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let origin = block_origin(tile.xy, local);
    let range = tile_ranges[tile.y * view.tiles.x + tile.x];
    let x = vec4<f32>(columns_from(origin.x)) + 0.5;
    let y = f32(origin.y) + 0.5;
    var a = read_row(origin);
    var b = read_row(origin + vec2(0u, 1u));
    var c: Row;
    var d: Row;
    var own_end = max(largest(a.end), largest(b.end));
    if ROWS == 4u {
        c = read_row(origin + vec2(0u, 2u));
        d = read_row(origin + vec2(0u, 3u));
        own_end = max(own_end, max(largest(c.end), largest(d.end)));
    }
    if local == 0u {
        atomicStore(&largest_end, 0u);
    }
    workgroupBarrier();
    atomicMax(&largest_end, own_end);
    workgroupBarrier();
    if local == 0u {
        tile_end = clamp(atomicLoad(&largest_end), range.x, range.y);
    }
    let end = workgroupUniformLoad(&tile_end);

    // What no pixel reached.
    for (var i = end + local; i < range.y; i += THREADS) {
        let number = intersections[i].y;
        if number < view.first || number >= view.end {
            continue;
        }
        let slot = HALF * (number - view.first);
        for (var k = 0u; k < HALF; k++) {
            slots_a[slot + k] = 0.0;
            slots_b[slot + k] = 0.0;
        }
    }

    let own = local * STRIDE;
    // The batch is the list's [last − count, last).
    for (var last = end; last > range.x; last -= min(BATCH, last - range.x)) {
        let count = min(BATCH, last - range.x);
        for (var j = 0u; j < count; j++) {
            let i = last - 1u - j;
            let splat = PROJECTED * intersections[i].x;
            let p0 = projected[splat];
            let p1 = projected[splat + 1u];
            let p2 = projected[splat + 2u];
            let s = Splat(vec3(p0.zw, p1.x), p1.y, p2.rgb, p1.z);
            let dx = p0.x - x;
            let dy = p0.y - y;
            var moments: Moments;
            unblend(&a, &moments, s, dx, dy, i);
            unblend(&b, &moments, s, dx, dy - 1.0, i);
            if ROWS == 4u {
                unblend(&c, &moments, s, dx, dy - 2.0, i);
                unblend(&d, &moments, s, dx, dy - 3.0, i);
            }
            let first = own + j * SUMS;
            sums[first] = moments.d;
            sums[first + 1u] = moments.dx;
            sums[first + 2u] = moments.dy;
            sums[first + 3u] = moments.dxx;
            sums[first + 4u] = moments.dxy;
            sums[first + HALF] = moments.dyy;
            sums[first + HALF + 1u] = moments.color.r;
            sums[first + HALF + 2u] = moments.color.g;
            sums[first + HALF + 3u] = moments.color.b;
            sums[first + HALF + 4u] = moments.depth;
            if ABSOLUTE {
                sums[first + HALF - 1u] = moments.absolute.x;
                sums[first + SUMS - 1u] = moments.absolute.y;
            }
        }
        workgroupBarrier();
        for (var part = local; part < count * PARTS; part += THREADS) {
            let j = part / PARTS;
            let number = intersections[last - 1u - j].y;
            if number < view.first || number >= view.end {
                continue;
            }
            let slot = HALF * (number - view.first);
            for (var k = part % PARTS; k < HALF; k += PARTS) {
                var total_a = 0.0;
                var total_b = 0.0;
                for (var t = 0u; t < THREADS; t++) {
                    let place = t * STRIDE + j * SUMS + k;
                    total_a += sums[place];
                    total_b += sums[place + HALF];
                }
                slots_a[slot + k] = total_a;
                slots_b[slot + k] = total_b;
            }
        }
        workgroupBarrier();
    }
}
