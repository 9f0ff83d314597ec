const DEGREE: u32 = 1u;
