// The parameters are what is read.
fn keep(at: u32, updated: vec4<f32>) {}
