// Gradients of projected means also without their signs. A slot has two halves of six sums.
const ABSOLUTE: bool = true;
const HALF: u32 = 6u;
