//! Measurements for benchmarks without ONNX Runtime.

mod mixing;
mod team;

pub use mixing::mixing_times;
