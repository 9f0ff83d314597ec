const DEGREE: u32 = 0u;
