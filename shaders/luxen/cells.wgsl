// The box that holds a bounded scene, cut into cells. A cell remembers the largest density that was found in it, and
// forgets it slowly.

// Cells a side.
const CELLS: u32 = 64u;
