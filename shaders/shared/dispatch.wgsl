// A dispatch may have at most 65535 groups a dimension: one-dimensional work is spread over x and y.
fn linear_index(group: vec3<u32>, groups: vec3<u32>, local: u32, group_size: u32) -> u32 {
    return (group.y * groups.x + group.x) * group_size + local;
}
