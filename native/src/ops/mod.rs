//! The operators of domain `ai.altup`, version 1, as ONNX Runtime custom operators, and their kernels on the CPU.

mod attention;
pub(crate) mod blocks;
pub(crate) mod collapse;
mod compute;
pub(crate) mod correct;
pub(crate) mod correct_predict;
mod custom_op;
pub(crate) mod domain;
pub(crate) mod expand;
mod expand_rule;
pub(crate) mod gaussian_top_k;
mod kernel_info;
mod match_blocks;
pub(crate) mod mixing;
pub(crate) mod predict;
mod rows;
pub(crate) mod select;
pub(crate) mod sequence_predict_correct;
mod shapes;
mod storage;
mod tokens;

pub(crate) use compute::{Compute, Tensor};
pub(crate) use custom_op::{CustomOp, Kernel};
pub use domain::{Operators, RegisterCustomOps, add_to_session_options};
pub(crate) use kernel_info::KernelInfo;
pub(crate) use shapes::Shapes;
pub(crate) use storage::Storage;
pub(crate) use tokens::{PIECE, SERIAL};
