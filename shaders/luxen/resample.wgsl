// Bins of the next level, drawn from a level's weights (nerfstudio's PDFSampler): one ray an invocation.

@group(0) @binding(1) var<storage, read> bins: array<f32>;
@group(0) @binding(2) var<storage, read_write> arena: array<f32>;
@group(0) @binding(3) var<storage, read_write> next_bins: array<f32>;

const HISTOGRAM_PADDING: f32 = 0.01;
const LEAST_SUM: f32 = 1e-5;

fn padded(weight: f32) -> f32 {
    // A weight of 0 would give 0^0 at the first step.
    return pow(max(weight, 1e-30), batch.anneal) + HISTOGRAM_PADDING;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= batch.rays {
        return;
    }
    composite(id.x);
    let weight = row_of(batch.density_at + 1u, id.x);
    let first_bin = id.x * (batch.samples + 1u);
    var sum = 0.0;
    for (var i = 0u; i < batch.samples; i++) {
        sum += padded(arena[weight + i]);
    }
    let missing = max(LEAST_SUM - sum, 0.0);
    let extra = missing / f32(batch.samples);
    sum += missing;

    let edges = batch.next_samples + 1u;
    var shift = 0.5;
    if batch.is_training != 0u {
        shift = random(batch.first_ray + id.x, FOR_BINS + batch.next_samples);
    }
    // The bin that the edge falls into: `low` and `high` are the distribution function at its ends.
    var i = 0u;
    var low = 0.0;
    var high = min((padded(arena[weight]) + extra) / sum, 1.0);
    var near = bins[first_bin];
    var far = bins[first_bin + 1u];
    for (var edge = 0u; edge < edges; edge++) {
        let u = (f32(edge) + shift) / f32(edges);
        while u >= high && i + 1u < batch.samples {
            i++;
            low = high;
            high = min(low + (padded(arena[weight + i]) + extra) / sum, 1.0);
            near = far;
            far = bins[first_bin + i + 1u];
        }
        var share = 1.0;
        if u < high {
            share = clamp((u - low) / (high - low), 0.0, 1.0);
        }
        next_bins[id.x * edges + edge] = near + share * (far - near);
    }
}
