// Real spherical harmonics to degree 3 in the order and with the signs of 3D Gaussian Splatting. `d` has unit length.

const SH_0: f32 = 0.2820947917738781;
const SH_1: f32 = 0.48860251190292;
const SH_2A: f32 = 1.0925484305920792;
const SH_2B: f32 = 0.9461746957575601;
const SH_2C: f32 = 0.3153915652525201;
const SH_2D: f32 = 0.5462742152960395;
const SH_3A: f32 = 0.5900435899266435;
const SH_3B: f32 = 2.890611442640554;
const SH_3C: f32 = 2.285228997322329;
const SH_3D: f32 = 0.4570457994644658;
const SH_3E: f32 = 1.865881662950577;
const SH_3F: f32 = 1.119528997770346;
const SH_3G: f32 = 1.445305721320277;
