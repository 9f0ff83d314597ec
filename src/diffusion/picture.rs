//! Pictures of the host and tensors of the networks.

use crate::scene::FloatImage;
use crate::{Error, Result};
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData};

/// `[1, 3, height, width]`, values as they are.
pub fn image_to_tensor(image: &FloatImage, device: &Device) -> Tensor<4> {
    let (width, height) = (image.width as usize, image.height as usize);
    let data = TensorData::new(image.rgb.clone(), [1, height, width, 3]);
    Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2])
}

/// The first picture of `[batch, 3, height, width]`; waits for the device.
///
/// # Errors
/// [`Error::Gpu`] when the device fails; [`Error::Invalid`] when there are not three channels.
pub fn tensor_to_image(tensor: Tensor<4>) -> Result<FloatImage> {
    let [batch, channels, height, width] = tensor.dims();
    if batch == 0 || channels != 3 {
        return Err(Error::invalid(format!(
            "a picture has 3 channels, not {channels} (batch of {batch})"
        )));
    }
    let rgb = read(tensor.narrow(0, 0, 1).permute([0, 2, 3, 1]))?;
    Ok(FloatImage::new(width as u32, height as u32, rgb))
}

/// Values in row-major order; waits for the device.
///
/// # Errors
/// [`Error::Gpu`] when the device fails.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor
        .try_into_vec_as::<f32>()
        .map_err(|e| Error::Gpu(format!("the device that runs the edit model failed: {e:?}")))
}

/// Bilinear, pixel centres at ½ (`align_corners=False`), no antialiasing.
pub(crate) fn resize(picture: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [_, _, h, w] = picture.dims();
    if [h, w] == [height, width] {
        return picture;
    }
    let options = InterpolateOptions::new(InterpolateMode::Bilinear)
        .with_align_corners(false)
        .with_output_size([height, width]);
    interpolate(picture, options)
}
