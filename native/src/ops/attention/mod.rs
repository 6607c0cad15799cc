//! Attention of decoders over caches with one row per slot. Only for the CPU: everywhere else, ONNX Runtime's own
//! operators in the function bodies stay on the device.

mod appended;
mod cross_attention;
mod grouped_query_attention;
mod heads;
mod rows;
mod segments;
mod self_attention;

pub use cross_attention::CrossAttention;
pub use grouped_query_attention::GroupedQueryAttention;
pub use rows::{Codes, Floats};
pub use self_attention::SelfAttention;
