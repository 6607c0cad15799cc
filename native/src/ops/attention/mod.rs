//! Attention of a T5 decoder over caches with one row per slot. Only for the CPU: everywhere else, ONNX Runtime's own
//! operators in the function bodies stay on the device.

mod cross_attention;
mod heads;
mod self_attention;

pub use cross_attention::CrossAttention;
pub use self_attention::SelfAttention;
