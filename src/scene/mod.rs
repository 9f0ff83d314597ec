//! What is edited: cameras, photos, splats. Plain data on the host, shared by every room, so that readers, trainers,
//! editors and the window agree on shapes and frames. No GPU calls and no egui here.

mod camera;
mod dataset;
mod image;
mod mesh;
pub mod orbit;
pub mod rig;
mod splats;
mod tensor;

pub use camera::{Camera, Intrinsics};
pub use dataset::{Dataset, DatasetKind, PointCloud, Split, View, WorldFromFile};
pub use image::{FloatImage, Photo};
pub use mesh::Mesh;
pub use splats::Splats;
pub use tensor::NamedTensor;
