// After all gradients.
const GEOMETRY: bool = true;
