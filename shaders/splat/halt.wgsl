// Once a render had too little scratch memory, this and all later optimizer steps do nothing until the host clears
// `halt`.

// Rasterizer status: intersections, overflow.
@group(0) @binding(0) var<storage, read> render_status: array<u32>;
@group(0) @binding(1) var<storage, read_write> halt: array<u32>;

@compute @workgroup_size(1)
fn main() {
    if (render_status[1] != 0u) {
        halt[0] = 1u;
    }
}
