//! Arrays as saved states hold them, whatever the scene is made of.

/// An array with its name and shape, as safetensors files store them.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}
