// A row of a set of splats to be, as a word: the row that it comes from, and what becomes of it.
const ROW: u32 = 0x1fffffffu;
// Its moments start at zero.
const ROW_FRESH: u32 = 0x80000000u;
const ROW_SPLIT: u32 = 0x40000000u;

