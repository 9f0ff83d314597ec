// Multi-resolution hash grid (Müller et al. 2022), two features an entry, trilinear. Two semantics are in use: tiny-cuda-nn
// shifts by half a cell and stores coarse levels densely; nerfstudio's torch fallback does neither.

struct GridLevel {
    // Cells a unit.
    scale: f32,
    // Vertices a side, where dense.
    resolution: u32,
    entries: u32,
    // First row of the level in the table.
    first: u32,
    is_dense: u32,
    padding0: u32,
    padding1: u32,
    padding2: u32,
}

struct Grid {
    levels: array<GridLevel, 16>,
    // Cells that positions are shifted by.
    shift: f32,
    quads: u32,
    // Channel of the first feature; of its gradient.
    features_at: u32,
    d_features_at: u32,
}

@group(0) @binding(0) var<uniform> grid: Grid;

// Row of a vertex. A vertex past the last one of a dense level wraps around the table; once is enough.
fn grid_row(level: GridLevel, vertex: vec3<u32>) -> u32 {
    if level.is_dense != 0u {
        let index = vertex.x + level.resolution * (vertex.y + level.resolution * vertex.z);
        return level.first + select(index, index - level.entries, index >= level.entries);
    }
    let hash = vertex.x ^ (vertex.y * 2654435761u) ^ (vertex.z * 805459861u);
    return level.first + (hash & (level.entries - 1u));
}

fn grid_vertex(cell: vec3<u32>, corner: u32) -> vec3<u32> {
    return cell + vec3(corner & 1u, (corner >> 1u) & 1u, corner >> 2u);
}

fn grid_weight(share: vec3<f32>, corner: u32) -> f32 {
    let x = select(1.0 - share.x, share.x, (corner & 1u) != 0u);
    let y = select(1.0 - share.y, share.y, (corner & 2u) != 0u);
    let z = select(1.0 - share.z, share.z, (corner & 4u) != 0u);
    return x * y * z;
}

// Slope of a corner's weight, a cell.
fn grid_slope(share: vec3<f32>, corner: u32) -> vec3<f32> {
    let is_upper = vec3((corner & 1u) != 0u, (corner & 2u) != 0u, (corner & 4u) != 0u);
    let weight = select(1.0 - share, share, is_upper);
    let slope = select(vec3(-1.0), vec3(1.0), is_upper);
    return slope * vec3(weight.y * weight.z, weight.x * weight.z, weight.x * weight.y);
}

// Level of a row of workgroups, of `count`: coarse ones, which are cheap, take turns with fine ones, because a software
// adapter hands each processor a run of neighbouring workgroups.
fn level_of(row: u32, count: u32) -> u32 {
    return select(row / 2u, count - 1u - row / 2u, row % 2u != 0u);
}
