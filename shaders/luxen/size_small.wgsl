const FEATURES: u32 = 16u;
const HIDDEN: u32 = 32u;
