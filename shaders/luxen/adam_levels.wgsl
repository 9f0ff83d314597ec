// Level of a table that four parameters belong to.
fn level_of_four(at: u32) -> u32 {
    var level = 0u;
    for (var l = 0u; l + 1u < params.levels; l++) {
        level += select(0u, 1u, at >= params.ends[l / 4u][l % 4u]);
    }
    return level;
}
