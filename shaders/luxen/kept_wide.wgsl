// A block in one access, which is what a processor's adapter pays for.
alias Kept = vec4<u64>;

fn packed(block: mat4x4<f32>) -> Kept {
    let first = halves_of(block[0], block[1]);
    let second = halves_of(block[2], block[3]);
    return vec4<u64>(first) | (vec4<u64>(second) << vec4(32u));
}

fn unpacked(kept: Kept) -> mat4x4<f32> {
    return block_of(vec4<u32>(kept), vec4<u32>(kept >> vec4(32u)));
}
