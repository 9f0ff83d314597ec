//! Adam on a Luxen's tables: fixed-point sums of a chunk, what earlier chunks carried, in every kernel for it.

use crate::{
    luxen::{has_wide_integers, run},
    luxen_scene::gpu,
};
use luxedit::{gpu::Gpu, luxen::AdamParams};

#[test]
fn adam_takes_fixed_point_sums_and_carried_gradients() {
    let Some(gpu) = gpu() else { return };
    for kernel in ["adam_table", "adam_table_wide"] {
        if kernel == "adam_table_wide" && !has_wide_integers(&gpu) {
            continue;
        }
        for in_pairs in [false, true] {
            adam_takes_sums(&gpu, kernel, in_pairs);
        }
    }
}

fn adam_takes_sums(gpu: &Gpu, kernel: &str, in_pairs: bool) {
    // Two levels, sixteen parameters each, of scales of their own; some vectors without any gradient.
    let level = [1 << 20, -(1 << 20), 0, 3, -5, 1, -7, 0];
    let sums: Vec<i32> = [level, [0; 8], [0; 8], level].concat();
    let scale = |parameter: usize| if parameter < 16 { 1024.0 } else { 256.0 };
    let pair = |p: &[i32; 2]| i64::from(p[0]) + (i64::from(p[1]) << 32);
    let pairs: Vec<i64> = sums.as_chunks::<2>().0.iter().map(pair).collect();
    let stored: &[i32] = match in_pairs {
        false => &sums,
        true => bytemuck::cast_slice(&pairs),
    };
    let mut scales = vec![0.0; 32];
    for level in 0..2 {
        scales[level] = scale(16 * level);
        scales[16 + level] = 1.0 / scale(16 * level);
    }
    let zeros = vec![0.0f32; 32];
    let mut ends = [u32::MAX; 16];
    ends[..2].copy_from_slice(&[4, 8]);
    let params = AdamParams {
        count: 8,
        levels: 2,
        collect_only: 1,
        step_size: 0.01 / (1.0 - 0.9),
        second_correction: 1.0 / (1.0 - 0.999),
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-15,
        carries: 1,
        in_pairs: u32::from(in_pairs),
        padding: [0; 2],
        ends,
    };
    let scales = gpu.storage_from("scales", &scales);
    let [carried, parameters, first, second] =
        ["carried", "parameters", "first", "second"].map(|l| gpu.storage_from(l, &zeros));
    let sums_buffer = gpu.storage_from("sums", stored);
    let buffers = [
        &scales,
        &sums_buffer,
        &carried,
        &parameters,
        &first,
        &second,
    ];
    run(gpu, kernel, &params, &buffers, [1, 1, 1]);
    assert_eq!(gpu.read::<i32>(&sums_buffer, 32).unwrap(), [0; 32]);
    assert_eq!(gpu.read::<f32>(&parameters, 32).unwrap(), zeros);
    gpu.queue
        .write_buffer(&sums_buffer, 0, bytemuck::cast_slice(stored));
    let params = AdamParams {
        collect_only: 0,
        ..params
    };
    run(gpu, kernel, &params, &buffers, [1, 1, 1]);
    let moments: Vec<f32> = gpu.read(&first, 32).unwrap();
    let got = gpu.read::<f32>(&parameters, 32).unwrap();
    for (i, sum) in sums.iter().enumerate() {
        let gradient = 2.0 * *sum as f32 / scale(i);
        assert!((moments[i] - 0.1 * gradient).abs() <= 1e-6 * gradient.abs());
        let step = if *sum == 0 {
            0.0
        } else {
            -0.01 * gradient.signum()
        };
        assert!((got[i] - step).abs() < 1e-6, "{i}: {} {step}", got[i]);
    }
    assert_eq!(gpu.read::<f32>(&carried, 32).unwrap(), zeros);
}
