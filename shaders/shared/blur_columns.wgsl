// Eight blurred values down a column of `planes` (bound by the kernel), zero beyond the picture.

fn value(plane: u32, y: i32, column: u32) -> f32 {
    let row = u32(clamp(y, 0, i32(params.height) - 1));
    let inside = select(0.0, 1.0, y >= 0 && y < i32(params.height));
    return inside * planes[(plane * params.height + row) * params.width + column];
}

fn four(plane: u32, y: i32, column: u32) -> vec4<f32> {
    return vec4<f32>(
        value(plane, y, column),
        value(plane, y + 1, column),
        value(plane, y + 2, column),
        value(plane, y + 3, column),
    );
}

fn blurred_eight(plane: u32, y0: u32, column: u32) -> Eight {
    let y = i32(y0) - 5;
    return eight(
        four(plane, y, column),
        four(plane, y + 4, column),
        four(plane, y + 8, column),
        four(plane, y + 12, column),
        four(plane, y + 16, column),
    );
}
