struct Kept {
    first: vec4<u32>,
    second: vec4<u32>,
}

fn packed(block: mat4x4<f32>) -> Kept {
    return Kept(halves_of(block[0], block[1]), halves_of(block[2], block[3]));
}

fn unpacked(kept: Kept) -> mat4x4<f32> {
    return block_of(kept.first, kept.second);
}
