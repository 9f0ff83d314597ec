const DEGREE: u32 = 2u;
