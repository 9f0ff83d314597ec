//! Hash tables in half precision: rounded as the twin rounds, read as the twin reads, renewed by every step.

use crate::{
    luxen::run,
    luxen_scene::{gpu as any_gpu, tiny, views},
    luxen_twin as twin,
};
use luxedit::gpu::Gpu;
use luxedit::luxen::{FieldShape, LuxenConfig, LuxenTrainer, TableStorage};
use std::sync::Arc;

fn gpu() -> Option<Arc<Gpu>> {
    let gpu = any_gpu()?;
    if let Some(notice) = TableStorage::Half.notice(&gpu) {
        println!("SKIPPED: {notice}");
        return None;
    }
    Some(gpu)
}

fn half() -> LuxenConfig {
    LuxenConfig {
        tables: TableStorage::Half,
        ..tiny()
    }
}

/// Two features of an entry.
fn widened(entry: u32) -> [f64; 2] {
    [entry & 0xffff, entry >> 16].map(|bits| half::f16::from_bits(bits as u16).to_f64() / 64.0)
}

/// Adapters may round either way.
fn assert_rounded(got: f64, feature: f64) {
    let nearest = twin::halved(feature);
    let spacing = (nearest.abs() / 1024.0).max(2f64.powi(-30));
    assert!(
        (got - nearest).abs() <= spacing,
        "{feature} became {got} instead of {nearest}"
    );
}

#[test]
fn features_keep_eleven_bits_from_fresh_ones_to_large_ones() {
    let Some(gpu) = gpu() else { return };
    let mut trainer = LuxenTrainer::new(gpu.clone(), half(), 3).unwrap();
    let mut state = trainer.state().unwrap();
    let features = [
        0.0, 1e-4, -1e-4, 3.3e-6, -0.7, 1.0, 511.7, -1023.0, 5e3, -1e9,
    ];
    let table = &mut state.tensors[12];
    assert_eq!(table.name, "field.table");
    table.data[..features.len()].copy_from_slice(&features);
    let trainer = LuxenTrainer::from_state(gpu.clone(), &state).unwrap();
    let halves = trainer.drawable().field.halves.unwrap();
    let entries: Vec<u32> = gpu.read(&halves.tables[2], features.len() / 2).unwrap();
    let got = entries.into_iter().flat_map(widened);
    for (got, feature) in got.zip(features) {
        assert_rounded(got, f64::from(feature));
        if (1e-5..1e3).contains(&feature.abs()) {
            let relative = (got / f64::from(feature) - 1.0).abs();
            assert!(relative < 1e-3, "{feature}: {got}");
        }
    }
}

#[test]
fn lookups_read_what_is_stored() {
    let Some(gpu) = gpu() else { return };
    let shape = FieldShape::new(&half(), 3);
    let grid = &shape.grids[2];
    let entries: Vec<u32> = (0..grid.rows)
        .map(|row| {
            let feature = |k: u32| {
                let wave = f64::from(7 * row + 3 * k + 1).sin();
                u32::from(half::f16::from_f64(64.0 * wave).to_bits())
            };
            feature(0) | feature(1) << 16
        })
        .collect();
    let table: Vec<f64> = entries.iter().flat_map(|e| widened(*e)).collect();
    const COUNT: usize = 64;
    let point = |i: usize| [0.37, 0.61, 0.83].map(|step| (step * (i as f64 + 0.5)).fract());
    let mut arena = Vec::new();
    for axis in 0..3 {
        arena.extend((0..COUNT).map(|i| point(i)[axis] as f32));
    }
    let width = 2 * grid.levels.len();
    arena.resize(4 * COUNT, 1.0f32);
    arena.resize((4 + width) * COUNT, 0.0);
    let arena = gpu.storage_from("arena", &arena);
    let table_buffer = gpu.storage_from("table", &entries);
    let quads = (COUNT / 4) as u32;
    let uniform = grid.uniform(quads, 4, 0);
    let buffers = [&table_buffer, &arena];
    let groups = [quads.div_ceil(64), grid.levels.len() as u32, 1];
    run(&gpu, "encode_half", &uniform, &buffers, groups);
    let got: Vec<f32> = gpu.read(&arena, (4 + width) * COUNT).unwrap();
    for i in 0..COUNT {
        let x = point(i).map(|v| f64::from(v as f32));
        let expected = twin::encode(&grid.levels, f64::from(grid.shift), &table, x);
        for (channel, expected) in expected.iter().enumerate() {
            let got = f64::from(got[(4 + channel) * COUNT + i]);
            assert!(
                (got - expected).abs() < 1e-4,
                "{i}, {channel}: {got} {expected}"
            );
        }
    }
}

#[test]
fn every_step_renews_what_it_changes() {
    let Some(gpu) = gpu() else { return };
    let views = views(&gpu);
    let mut trainer = LuxenTrainer::new(gpu.clone(), half(), 3).unwrap();
    let mut before = trainer.state().unwrap().parameters().unwrap();
    for steps in [1, 3] {
        for _ in 0..steps {
            trainer.step(&views).unwrap();
        }
        let after = trainer.state().unwrap().parameters().unwrap();
        let halves = trainer.drawable().field.halves.unwrap();
        for level in 0..3 {
            let parameters = &after[2 * level];
            assert_ne!(parameters, &before[2 * level]);
            let entries: Vec<u32> = gpu
                .read(&halves.tables[level], parameters.len() / 2)
                .unwrap();
            for (got, feature) in entries.into_iter().flat_map(widened).zip(parameters) {
                assert_rounded(got, f64::from(*feature));
            }
            let is_rounded = |v: &&f32| twin::halved(f64::from(**v)) != f64::from(**v);
            let rounded = parameters.iter().filter(is_rounded).count();
            assert!(2 * rounded > parameters.len(), "parameters stay f32");
        }
        before = after;
    }
}
