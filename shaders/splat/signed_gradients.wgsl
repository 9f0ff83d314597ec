// Gradients of projected means as they are. A slot has two halves of five sums.
const ABSOLUTE: bool = false;
const HALF: u32 = 5u;
