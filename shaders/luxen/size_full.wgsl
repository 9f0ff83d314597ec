const FEATURES: u32 = 32u;
const HIDDEN: u32 = 64u;
