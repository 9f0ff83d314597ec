//! Everything that luxedit computes, against references that were made independently of it (PyTorch, diffusers, float64
//! code). The folder is `LUXEDIT_REFERENCE` when set, else `tests/fixtures`. Shapes, configs, prompts and cameras are all
//! read from the files, so that another folder of the same layout passes unchanged. What is absent is skipped, and said.

#[path = "support/adapter.rs"]
mod adapter;
#[path = "reference/cameras.rs"]
mod cameras;
#[path = "reference/clip.rs"]
mod clip;
#[path = "reference/diffusion.rs"]
mod diffusion;
#[path = "reference/dpm_solver.rs"]
mod dpm_solver;
#[path = "reference/fixture.rs"]
mod fixture;
#[path = "reference/formula.rs"]
mod formula;
#[path = "reference/half.rs"]
mod half;
#[path = "reference/looks.rs"]
mod looks;
#[path = "reference/lpips.rs"]
mod lpips;
#[path = "reference/luxen.rs"]
mod luxen;
#[path = "reference/luxen_adam.rs"]
mod luxen_adam;
#[path = "reference/luxen_field.rs"]
mod luxen_field;
#[path = "reference/luxen_half.rs"]
mod luxen_half;
#[path = "reference/luxen_occupancy.rs"]
mod luxen_occupancy;
#[path = "reference/luxen_poses.rs"]
mod luxen_poses;
#[path = "reference/luxen_scene.rs"]
mod luxen_scene;
#[path = "reference/luxen_twin.rs"]
mod luxen_twin;
#[path = "reference/nerfstudio.rs"]
mod nerfstudio;
#[path = "reference/nerfstudio_frames.rs"]
mod nerfstudio_frames;
#[path = "reference/sds.rs"]
mod sds;
#[path = "reference/splat_twin.rs"]
mod splat_twin;
#[path = "reference/splats.rs"]
mod splats;
#[path = "reference/ssim.rs"]
mod ssim;
#[path = "reference/vae_bands.rs"]
mod vae_bands;
