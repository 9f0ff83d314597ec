// Counter-based random numbers: a pure function of seed, step, ray and purpose, so that a resumed run draws what the
// uninterrupted one would have drawn. PCG hash (Jarzynski & Olano 2020).

const FOR_VIEW: u32 = 0u;
const FOR_COLUMN: u32 = 1u;
const FOR_ROW: u32 = 2u;
const FOR_FIRST_BINS: u32 = 3u;
const FOR_CELLS: u32 = 4u;
// Plus the number of samples a ray, which differs between levels.
const FOR_BINS: u32 = 16u;

// A pixel drawn in another's place has purposes of its own.
const DRAW_PURPOSES: u32 = 65536u;

fn pcg(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// In [0, 1).
fn random(ray: u32, purpose: u32) -> f32 {
    let bits = pcg(ray ^ pcg(purpose + pcg(batch.step ^ pcg(batch.seed))));
    return f32(bits >> 8u) * (1.0 / 16777216.0);
}
