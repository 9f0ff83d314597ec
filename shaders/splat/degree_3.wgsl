const DEGREE: u32 = 3u;
