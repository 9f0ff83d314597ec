//! Every kernel, validated without a GPU: a shader that does not compile is found on any machine.

use luxedit::gpu::ShaderSource;

fn parse(source: &ShaderSource) -> naga::Module {
    let wgsl = source.wgsl();
    let module = naga::front::wgsl::parse_str(&wgsl)
        .unwrap_or_else(|e| panic!("{}:\n{}", source.name, e.emit_to_string(&wgsl)));
    // Of kernels that only adapters with it are given.
    let packs_half = source.name.ends_with("_half") || source.name == "luxen/halve_table";
    let adds_pairs = source.name == "luxen/scatter_pairs";
    let is_wide = source.name.ends_with("_wide");
    let capabilities = match (packs_half, adds_pairs || is_wide) {
        (true, _) => naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32,
        (_, true) => {
            naga::valid::Capabilities::SHADER_INT64
                | naga::valid::Capabilities::SHADER_INT64_ATOMIC_ALL_OPS
        }
        (false, false) => naga::valid::Capabilities::empty(),
    };
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
    validator
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}:\n{}", source.name, e.emit_to_string(&wgsl)));
    module
}

fn validate(source: &ShaderSource) {
    let module = parse(source);
    let entry = module
        .entry_points
        .iter()
        .find(|e| e.name == "main")
        .unwrap_or_else(|| panic!("{}: no entry point `main`", source.name));
    let threads: u32 = entry.workgroup_size.iter().product();
    assert!(
        (1..=256).contains(&threads),
        "{}: {threads} threads a group",
        source.name
    );
    let storage = module
        .global_variables
        .iter()
        .filter(|(_, v)| matches!(v.space, naga::AddressSpace::Storage { .. }))
        .count();
    assert!(storage <= 8, "{}: {storage} storage buffers", source.name);
    let mut layouter = naga::proc::Layouter::default();
    layouter
        .update(module.to_ctx())
        .unwrap_or_else(|e| panic!("{}: {e}", source.name));
    let shared: u32 = module
        .global_variables
        .iter()
        .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
        .map(|(_, v)| layouter[v.ty].size)
        .sum();
    assert!(
        shared <= 16384,
        "{}: {shared} bytes of shared memory",
        source.name
    );
}

#[test]
fn shaders_of_looks_are_valid() {
    assert!(!luxedit::edit::SHADERS.is_empty());
    luxedit::edit::SHADERS.iter().for_each(validate);
}

#[test]
fn splat_shaders_are_valid() {
    assert!(!luxedit::splat::SHADERS.is_empty());
    luxedit::splat::SHADERS.iter().for_each(validate);
}

#[test]
fn shared_device_shaders_are_valid() {
    assert!(!luxedit::gpu::SHADERS.is_empty());
    luxedit::gpu::SHADERS.iter().for_each(validate);
}

#[test]
fn trainer_and_loss_shaders_are_valid() {
    assert!(!luxedit::splat::TRAINER_SHADERS.is_empty() && !luxedit::loss::SHADERS.is_empty());
    luxedit::splat::TRAINER_SHADERS
        .iter()
        .copied()
        .flatten()
        .for_each(validate);
    luxedit::loss::SHADERS.iter().for_each(validate);
}

#[test]
fn luxen_shaders_are_valid() {
    assert!(!luxedit::luxen::SHADERS.is_empty());
    luxedit::luxen::SHADERS.iter().for_each(validate);
}

/// The host lays out weights and channels as the kernels do.
#[test]
fn luxen_layouts_agree_with_their_kernels() {
    use luxedit::luxen::{SHADERS, Size, constants, dispatch_constants};
    for (kernel, expected) in [
        (
            "luxen/radiance_backward",
            [Size::Small, Size::Full].map(Some).to_vec(),
        ),
        ("luxen/proposal_backward", vec![None]),
    ] {
        let mut sources = SHADERS.iter().filter(|s| s.name == kernel);
        for size in expected {
            let module = parse(sources.next().expect("a kernel of this size"));
            for (name, value) in constants(size) {
                assert_constant(&module, kernel, name, value);
            }
        }
    }
    for (kernel, name, value) in dispatch_constants() {
        let source = SHADERS.iter().find(|s| s.name == kernel);
        assert_constant(&parse(source.expect("a kernel")), kernel, name, value);
    }
}

fn assert_constant(module: &naga::Module, kernel: &str, name: &str, value: u32) {
    let (_, constant) = module
        .constants
        .iter()
        .find(|(_, c)| c.name.as_deref() == Some(name))
        .unwrap_or_else(|| panic!("{kernel}: no constant {name}"));
    let expression = &module.global_expressions[constant.init];
    let naga::Expression::Literal(naga::Literal::U32(got)) = expression else {
        panic!("{kernel}: {name} is {expression:?}");
    };
    assert_eq!(*got, value, "{kernel}: {name}");
}

#[test]
fn window_shaders_are_valid() {
    assert!(!luxedit::app::SHADERS.is_empty());
    for source in luxedit::app::SHADERS {
        let module = parse(source);
        let has = |stage| module.entry_points.iter().any(|e| e.stage == stage);
        assert!(
            has(naga::ShaderStage::Vertex) && has(naga::ShaderStage::Fragment),
            "{}: draws nothing",
            source.name
        );
    }
}
