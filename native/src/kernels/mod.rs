//! The arithmetic of `ai.altup`, without ONNX Runtime and Node, so that Miri and `cargo test` can run it.

pub mod attention;
pub mod blocked_attention;
pub mod byte_rows;
pub mod dots;
pub mod element;
mod exponential;
pub mod gaussian_top_k;
pub mod instruction_set;
pub mod lanes;
pub mod match_magnitude;
pub mod matrix;
pub mod mix;
pub mod quantized_product;
pub mod reference;
mod row;
#[cfg(test)]
mod tests;

pub use element::Element;
pub use instruction_set::InstructionSet;
pub use matrix::Matrix;
pub use mix::Mixer;
