//! The operators of domain `ai.altup`, version 1, as ONNX Runtime custom operators on the CPU.

mod blocks;
mod collapse;
mod compute;
mod correct;
mod correct_predict;
mod custom_op;
mod domain;
mod expand;
mod expand_rule;
mod gaussian_top_k;
mod kernel_info;
mod match_blocks;
mod mixing;
mod predict;
mod rows;
mod select;
mod sequence_predict_correct;
mod shapes;
mod storage;
mod tokens;

pub use domain::{RegisterCustomOps, add_to_session_options};
pub(crate) use tokens::{PIECE, SERIAL};
