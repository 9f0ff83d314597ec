// Splats at one place share what one of them was, so that the picture stays (Kheradmand et al. 2024, equation 9): of `n`
// with the opacity o each has 1 − (1 − o)^(1/n), and a scale with which they add up to the same.
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read_write> log_scales: array<f32>;
@group(0) @binding(4) var<storage, read_write> logit_opacities: array<f32>;

const MOST: u32 = 51u;
const OPACITY_MAX: f32 = 0.99999988;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= growth.rows || (rows[i] & ROW_FRESH) == 0u {
        return;
    }
    let n = min(counts[rows[i] & ROW] + 1u, MOST);
    let old = opacity_of(logit_opacities[i]);
    let opacity = 1.0 - pow(1.0 - min(old, OPACITY_MAX), 1.0 / f32(n));
    // The paper's double sum, its inner binomials summed up: Σ C(n,m) (−1)^(m−1) o^m / √m.
    var term = 1.0;
    var sum = 0.0;
    for (var m = 1u; m <= n; m++) {
        term *= f32(n - m + 1u) / f32(m) * opacity;
        sum += select(-term, term, m % 2u == 1u) / sqrt(f32(m));
    }
    let change = log(old / sum);
    let kept = clamp(opacity, growth.min_opacity, OPACITY_MAX);
    logit_opacities[i] = log(kept / (1.0 - kept));
    for (var c = 0u; c < 3u; c++) {
        log_scales[3u * i + c] += change;
    }
}
