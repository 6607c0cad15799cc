//! The arithmetic of `ai.altup`, free of ONNX Runtime and Node: what Miri and `cargo test` reach.

pub mod element;
pub mod lanes;
pub mod matrix;
pub mod mix;
pub mod reference;

pub use element::Element;
pub use matrix::Matrix;
pub use mix::Mixer;
