//! Attention of a T5 decoder over caches of one row per slot. For the CPU alone: everywhere else ONNX Runtime's own
//! operators, which the function bodies are made of, stay on the device.

mod cross_attention;
mod heads;
mod self_attention;

pub use cross_attention::CrossAttention;
pub use self_attention::SelfAttention;
