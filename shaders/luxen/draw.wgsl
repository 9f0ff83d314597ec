// What a step learns from.

struct Draw {
    // Views at the front of the table of views, of which rays are drawn.
    views: u32,
    // What a network says of the rays' colors: 0: nothing; 1: a gradient a ray; 2: a gradient a pixel of the first view.
    given: u32,
    // Values of one color of that gradient.
    plane: u32,
    given_scale: f32,
    // Weight of the difference from the photos beside it.
    photo_weight: f32,
}
