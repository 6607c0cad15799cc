//! Measurements for benchmarks without ONNX Runtime. main.rs runs them, as an example binary.

mod mixing;
mod reading;
mod team;

pub use mixing::mixing_times;
pub use reading::reading_speed;
