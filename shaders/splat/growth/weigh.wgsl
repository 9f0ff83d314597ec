// How likely each splat is to take in another (3D Gaussian Splatting as Markov Chain Monte Carlo, Kheradmand et al. 2024):
// its opacity, in whole numbers that sum up exactly. What is transparent or not finite is dead.
@group(0) @binding(1) var<storage, read> log_scales: array<f32>;
@group(0) @binding(2) var<storage, read> logit_opacities: array<f32>;
@group(0) @binding(3) var<storage, read_write> weights: array<u32>;
// 1 where the splat is dead.
@group(0) @binding(4) var<storage, read_write> dead: array<u32>;

const LARGEST: f32 = 3.4e38;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_index(group, groups, local, 64u);
    if i >= growth.splats {
        return;
    }
    let scale = exp(vec3(log_scales[3u * i], log_scales[3u * i + 1u], log_scales[3u * i + 2u]));
    let opacity = opacity_of(logit_opacities[i]);
    // Comparisons with what is not a number fail.
    let lives = opacity > growth.min_opacity && scale.x < LARGEST && scale.y < LARGEST && scale.z < LARGEST;
    weights[i] = select(0u, max(1u, u32(opacity * growth.weight_one)), lives);
    dead[i] = select(1u, 0u, lives);
}
