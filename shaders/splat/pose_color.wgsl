// Between the gradients of colors and those of geometry: a turn of the camera does not change where splats are seen from.
const GEOMETRY: bool = false;
