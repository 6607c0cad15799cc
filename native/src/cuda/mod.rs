//! The `ai.altup` operators on CUDA. NVRTC compiles kernels.cu for the session's device. CUDA's libraries are opened
//! only when a node is placed on CUDA, so one addon serves machines with and without them.

mod arguments;
mod device;
mod driver;
mod element;
mod launch;
mod mix;
mod moves;
mod on_device;
mod program;
mod rows;

#[cfg(test)]
mod emulation;
#[cfg(test)]
mod tests;

use crate::ops::collapse::Collapse;
use crate::ops::correct::Correct;
use crate::ops::correct_predict::CorrectPredict;
use crate::ops::expand::Expand;
use crate::ops::gaussian_top_k::GaussianTopK;
use crate::ops::predict::Predict;
use crate::ops::select::Select;
use crate::ops::sequence_predict_correct::SequencePredictCorrect;
use crate::ops::{CustomOp, Storage};
use crate::ort::Api;
use device::Device;
pub use driver::{Cuda, open_driver, words as driver_words};
use on_device::OnDevice;

/// Every operator with its kernels on `D`, for one element type.
pub fn ops_of<T: Storage, D: Device>(api: Api) -> Vec<CustomOp> {
    vec![
        CustomOp::new::<OnDevice<Expand<T>, D>>(api),
        CustomOp::new::<OnDevice<Select<T>, D>>(api),
        CustomOp::new::<OnDevice<Predict<T>, D>>(api),
        CustomOp::new::<OnDevice<Correct<T>, D>>(api),
        CustomOp::new::<OnDevice<CorrectPredict<T>, D>>(api),
        CustomOp::new::<OnDevice<Collapse<T>, D>>(api),
        CustomOp::new::<OnDevice<GaussianTopK<T>, D>>(api),
        CustomOp::new::<OnDevice<SequencePredictCorrect<T>, D>>(api),
    ]
}
