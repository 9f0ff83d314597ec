//! nerfstudio's nerfacto as a Luxen. Its torch implementation differs in three things from what the kernels do, and none
//! costs anything at run time: every level of its grids is hashed (the kernels know both kinds); its layers have biases; and
//! it evaluates the harmonics at (d + 1) / 2 instead of the direction d. The last is still a polynomial of degree 3 in d,
//! and on the sphere the harmonics span all of those: so its weights become those of true harmonics by a constant matrix.

use crate::{
    Error, Result,
    formats::nerfstudio::{Model, Options},
    luxen::{
        Background, CameraPoses, FieldShape, GridConfig, GridSemantics, LayerWeights, LuxenConfig,
        LuxenProgress, LuxenState, ProposalLayout, Size,
    },
    scene::NamedTensor,
};

const HARMONICS: usize = 16;
/// What the density network hands to the color network beside the density.
const GEOMETRY: usize = 15;
const APPEARANCE: usize = 32;

/// The state of a trainer that has the checkpoint's field, its optimizer at rest; and what was assumed, for the person.
///
/// # Errors
/// [`Error::File`] names what the checkpoint has that a Luxen has not.
pub fn luxen_of(model: &Model) -> Result<(LuxenState, Vec<String>)> {
    let unlike = |what: String| Err(Error::file(&model.path, what));
    if model.tensors.keys().any(|name| name.contains("tcnn")) || !has_torch_layers(model) {
        return unlike(
            "holds a nerfacto of tiny-cuda-nn, whose parameters are one row of numbers that only its own version can \
             tell apart; train it with --pipeline.model.implementation torch"
                .into(),
        );
    }
    let mut warnings = Vec::new();
    let options = match &model.options {
        Some(options) => options.clone(),
        None => {
            warnings.push(format!(
                "there is no config.yml with {}: nerfacto's published numbers are assumed",
                model.path.display()
            ));
            Options::default()
        }
    };
    let mut config = config_of(model, &options)?;
    let views = match model.tensors.get(EMBEDDING) {
        Some(table) => table.shape.first().copied().unwrap_or(0),
        None => return unlike(format!("lacks the tensor {EMBEDDING}")),
    };
    let poses = poses_of(model, &options, views, &mut warnings)?;
    if poses.is_some() {
        config.poses = CameraPoses::Learnt;
    }
    let shape = FieldShape::new(&config, views as u32);
    let table =
        |name: &str, level: usize| model.tensor(name, &[shape.grids[level].rows as usize, 2]);
    let tables = [
        table("proposal_networks.0.mlp_base.0.hash_table", 0)?,
        table("proposal_networks.1.mlp_base.0.hash_table", 1)?,
        table(&format!("{BASE}0.hash_table"), 2)?,
    ];
    let embedding = model.tensor(EMBEDDING, &[views, APPEARANCE])?;
    // Room is made for what is there, not for what the checkpoint's numbers claim.
    let mut groups = shape.lengths().map(|length| vec![0.0f32; length]);
    for (level, table) in tables.iter().take(2).enumerate() {
        let prefix = format!("proposal_networks.{level}.mlp_base.");
        groups[2 * level] = table.to_vec();
        for (i, layer) in ProposalLayout::layers().iter().enumerate() {
            let linear = Linear::read(model, &format!("{prefix}1.layers.{i}"), &layer.weights)?;
            linear.place(&mut groups[2 * level + 1], &layer.weights, 0);
        }
    }
    groups[4] = tables[2].to_vec();
    let [base0, base1, geometry, head, color, ray] = shape.layout.layers().map(|l| l.weights);
    let network = &mut groups[5];
    for (name, weights) in [
        (format!("{BASE}1.layers.0"), &base0),
        (format!("{BASE}1.layers.1"), &base1),
        ("field.mlp_head.layers.1".into(), &head),
        ("field.mlp_head.layers.2".into(), &color),
    ] {
        Linear::read(model, &name, weights)?.place(network, weights, 0);
    }
    let mut first = Linear::of_shape(
        model,
        "field.mlp_head.layers.0",
        [geometry.rows as usize, HARMONICS + GEOMETRY + APPEARANCE],
    )?;
    first.place(network, &geometry, HARMONICS);
    first.turn_harmonics();
    first.drop_columns(HARMONICS..HARMONICS + GEOMETRY);
    first.place(network, &ray, 0);
    groups[6] = embedding.to_vec();
    let names = crate::luxen::GROUPS;
    let mut tensors = Vec::new();
    for (name, data) in names.iter().zip(groups) {
        let rest = vec![0.0; data.len()];
        for (name, data) in [
            (format!("adam.{name}.first"), rest.clone()),
            (format!("adam.{name}.second"), rest),
            ((*name).to_owned(), data),
        ] {
            tensors.push(NamedTensor {
                name,
                shape: vec![data.len()],
                data,
            });
        }
    }
    tensors.extend(poses);
    let progress = LuxenProgress {
        views: views as u32,
        ..Default::default()
    };
    let state = LuxenState {
        config,
        progress,
        tensors,
    };
    Ok((state, warnings))
}

const EMBEDDING: &str = "field.embedding_appearance.embedding.weight";
const BASE: &str = "field.mlp_base.model.";

fn has_torch_layers(model: &Model) -> bool {
    model.tensors.contains_key(&format!("{BASE}0.hash_table"))
}

/// Where nerfacto's cameras have got to, as [`LuxenState`] holds it; `None` where they stand where the capture has them.
///
/// # Errors
/// They are of other views.
fn poses_of(
    model: &Model,
    options: &Options,
    views: usize,
    warnings: &mut Vec<String>,
) -> Result<Option<NamedTensor>> {
    const KEY: &str = "camera_optimizer.pose_adjustment";
    if !model.tensors.contains_key(KEY) {
        return Ok(None);
    }
    // A view's shift and rotation vector, in the world.
    let learnt = model.tensor(KEY, &[views, 6])?.as_chunks::<6>().0;
    if learnt.iter().flatten().all(|v| *v == 0.0) {
        return Ok(None);
    }
    if let Some(mode) = options.text("camera_optimizer.mode")
        && mode != "SO3xR3"
    {
        warnings.push(format!(
            "the cameras that nerfacto moved a little are taken from where the capture has them: how its camera optimizer \
             `{mode}` moves them is not known, SO3xR3 is"
        ));
        return Ok(None);
    }
    let mut data = Vec::with_capacity(24 * views);
    for [x, y, z, a, b, c] in learnt {
        data.extend([*x, *y, *z, 0.0, *a, *b, *c, 0.0]);
        // Both moments of both, at rest.
        data.extend([0.0; 16]);
    }
    Ok(Some(NamedTensor {
        name: "poses".to_owned(),
        shape: vec![views, 6, 4],
        data,
    }))
}

/// The numbers of a run; those that neither checkpoint nor config.yml say are nerfacto's.
fn config_of(model: &Model, options: &Options) -> Result<LuxenConfig> {
    let unlike = |what: String| Err(Error::file(&model.path, what));
    let count = |name: &str| -> Result<u32> {
        let [value] = *model.tensor(name, &[])? else {
            return Err(Error::file(
                &model.path,
                format!("has no single number {name}"),
            ));
        };
        Ok(value as u32)
    };
    let number = |name: &str, published: f64| -> Result<f64> {
        Ok(options.number(name)?.unwrap_or(published))
    };
    let grid = |prefix: &str, base: &str| -> Result<GridConfig> {
        Ok(GridConfig {
            levels: count(&format!("{prefix}.num_levels"))?,
            base_resolution: options.count(base)?.unwrap_or(16),
            max_resolution: count(&format!("{prefix}.max_res"))?,
            log2_entries: count(&format!("{prefix}.log2_hashmap_size"))?,
        })
    };
    if options.flag("disable_scene_contraction")? == Some(true) {
        return unlike("was trained without scene contraction, which a Luxen always has".into());
    }
    if let Some(sampler) = options.text("proposal_initial_sampler")
        && sampler != "piecewise"
    {
        return unlike(format!("samples rays by `{sampler}`; piecewise is known"));
    }
    let background = match options.text("background_color") {
        None | Some("last_sample") => Background::LastSample,
        Some("black" | "random") => Background::Fixed([0.0; 3]),
        Some("white") => Background::Fixed([1.0; 3]),
        Some(other) => return unlike(format!("has the background `{other}`, which is not known")),
    };
    let field = grid("field", "base_res")?;
    let hidden = match model.tensors.get(&format!("{BASE}1.layers.0.weight")) {
        Some(weights) => weights.shape.first().copied().unwrap_or(0),
        None => 0,
    };
    let size = match (field.levels, hidden) {
        (8, 32) => Size::Small,
        (16, 64) => Size::Full,
        (levels, hidden) => {
            return unlike(format!(
                "holds a nerfacto of {levels} levels and {hidden} neurons; 16 and 64 (nerfacto, not its big and huge \
                 variants), or 8 and 32, are known"
            ));
        }
    };
    let proposal = |i: usize| {
        let base = format!("proposal_net_args_list.{i}.base_res");
        grid(&format!("proposal_networks.{i}"), &base)
    };
    let published = LuxenConfig::full(background);
    let samples = |i: usize| -> Result<u32> {
        let name = match i {
            2 => "num_nerf_samples_per_ray".to_owned(),
            i => format!("num_proposal_samples_per_ray.{i}"),
        };
        let count = options.count(&name)?.unwrap_or(published.samples[i]);
        count
            .checked_next_multiple_of(4)
            .ok_or_else(|| Error::file(&model.path, format!("takes {count} samples of a ray")))
    };
    let config = LuxenConfig {
        size,
        semantics: GridSemantics::Hashed,
        grid: field,
        proposals: [proposal(0)?, proposal(1)?],
        samples: [samples(0)?, samples(1)?, samples(2)?],
        near: number("near_plane", published.near)?,
        far: number("far_plane", published.far)?,
        average_density: number("average_init_density", published.average_density)?,
        ..published
    };
    match config.check() {
        Ok(()) => Ok(config),
        Err(e) => unlike(format!("cannot be a Luxen: {e}")),
    }
}

/// A layer as torch keeps it: `weight [rows, columns]`, `bias [rows]`.
struct Linear {
    rows: usize,
    columns: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    fn read(model: &Model, name: &str, like: &LayerWeights) -> Result<Self> {
        Self::of_shape(model, name, [like.rows as usize, like.columns as usize])
    }

    fn of_shape(model: &Model, name: &str, [rows, columns]: [usize; 2]) -> Result<Self> {
        Ok(Self {
            rows,
            columns,
            weight: model
                .tensor(&format!("{name}.weight"), &[rows, columns])?
                .to_vec(),
            bias: model.tensor(&format!("{name}.bias"), &[rows])?.to_vec(),
        })
    }

    /// Into a network's buffer, from column `first` on.
    fn place(&self, network: &mut [f32], to: &LayerWeights, first: usize) {
        for row in 0..self.rows {
            for column in 0..to.columns as usize {
                let at = to.first + row as u32 * to.row_stride + column as u32 * to.column_stride;
                network[at as usize] = self.weight[row * self.columns + first + column];
            }
            if let Some((at, stride)) = to.bias {
                network[(at + row as u32 * stride) as usize] = self.bias[row];
            }
        }
    }

    /// From torch's harmonics at (d + 1) / 2 to the kernels' at d, in the first columns.
    fn turn_harmonics(&mut self) {
        let matrix = harmonics_matrix();
        for row in self.weight.chunks_exact_mut(self.columns) {
            let old: [f64; HARMONICS] = std::array::from_fn(|i| f64::from(row[i]));
            for (column, value) in row.iter_mut().take(HARMONICS).enumerate() {
                *value = (0..HARMONICS)
                    .map(|i| old[i] * matrix[i][column])
                    .sum::<f64>() as f32;
            }
        }
    }

    fn drop_columns(&mut self, gone: std::ops::Range<usize>) {
        let kept = |row: &[f32]| {
            let mut row = row.to_vec();
            row.drain(gone.clone());
            row
        };
        self.weight = self
            .weight
            .chunks_exact(self.columns)
            .flat_map(kept)
            .collect();
        self.columns -= gone.len();
    }
}

/// nerfstudio's harmonics, as polynomials of any vector.
fn torch_harmonics([x, y, z]: [f64; 3]) -> [f64; HARMONICS] {
    let (xx, yy, zz) = (x * x, y * y, z * z);
    [
        0.28209479177387814,
        0.4886025119029199 * y,
        0.4886025119029199 * z,
        0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        1.0925484305920792 * y * z,
        0.9461746957575601 * zz - 0.31539156525252,
        1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        0.5900435899266435 * y * (3.0 * xx - yy),
        2.890611442640554 * x * y * z,
        0.4570457994644658 * y * (5.0 * zz - 1.0),
        0.3731763325901154 * z * (5.0 * zz - 3.0),
        0.4570457994644658 * x * (5.0 * zz - 1.0),
        1.445305721320277 * z * (xx - yy),
        0.5900435899266435 * x * (xx - 3.0 * yy),
    ]
}

/// The kernels' harmonics (`luxen/directions.wgsl`): the same, every other with the opposite sign.
fn kernel_harmonics(d: [f64; 3]) -> [f64; HARMONICS] {
    let mut values = torch_harmonics(d);
    for value in values.iter_mut().skip(1).step_by(2) {
        *value = -*value;
    }
    values
}

/// `M` of `torch_harmonics((d + 1) / 2) = M · kernel_harmonics(d)` for all unit vectors d: solved on a few dozen, well
/// spread ones by normal equations.
fn harmonics_matrix() -> [[f64; HARMONICS]; HARMONICS] {
    const POINTS: usize = 64;
    let golden = std::f64::consts::PI * (3.0 - 5f64.sqrt());
    let mut normal = [[0.0; 2 * HARMONICS]; HARMONICS];
    for i in 0..POINTS {
        let z = 1.0 - (2 * i + 1) as f64 / POINTS as f64;
        let (sin, cos) = (golden * i as f64).sin_cos();
        let r = (1.0 - z * z).sqrt();
        let d = [r * cos, r * sin, z];
        let ours = kernel_harmonics(d);
        let theirs = torch_harmonics(d.map(|v| (v + 1.0) / 2.0));
        for (row, a) in normal.iter_mut().zip(ours) {
            for j in 0..HARMONICS {
                row[j] += a * ours[j];
                row[HARMONICS + j] += a * theirs[j];
            }
        }
    }
    // Gauss–Jordan; the matrix is nearly diagonal, so that no pivot is sought.
    for pivot in 0..HARMONICS {
        let scale = 1.0 / normal[pivot][pivot];
        normal[pivot].iter_mut().for_each(|v| *v *= scale);
        let pivot_row = normal[pivot];
        for (_, row) in normal.iter_mut().enumerate().filter(|(i, _)| *i != pivot) {
            let factor = row[pivot];
            for (value, p) in row.iter_mut().zip(pivot_row) {
                *value -= factor * p;
            }
        }
    }
    std::array::from_fn(|i| std::array::from_fn(|j| normal[j][HARMONICS + i]))
}
