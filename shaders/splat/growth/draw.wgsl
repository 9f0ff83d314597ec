// Draws living splats by weight, with replacement.
// Exclusive prefix sum of the weights.
@group(0) @binding(1) var<storage, read> weights_before: array<u32>;
@group(0) @binding(2) var<storage, read_write> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<atomic<u32>>;

// ⌊a·b / 2³²⌋
fn multiply_high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let middle_a = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let middle_b = (a & 0xffffu) * (b >> 16u) + (middle_a & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (middle_a >> 16u) + (middle_b >> 16u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let draw = linear_index(group, groups, local, 64u);
    if draw >= growth.drawn {
        return;
    }
    let at = multiply_high(random_words(random_key(draw, RANDOM_DRAW)).x, growth.weight_sum);
    // The last splat with no more than `at` before it: it has a weight.
    var low = 0u;
    var high = growth.splats;
    while high - low > 1u {
        let middle = (low + high) / 2u;
        if weights_before[middle] <= at {
            low = middle;
        } else {
            high = middle;
        }
    }
    targets[draw] = low;
    atomicAdd(&counts[low], 1u);
}
