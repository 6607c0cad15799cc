//! A language model as DESIGN's graph contract describes it: the decoder, the encoder if there is one, and the caches
//! of keys and values. The caches stay in place while tokens go in and logits come out.

mod bound;
mod cuda_memory;
mod decoder;
mod device_logits;
mod encoder;
mod host_memory;
mod layers;
mod memory;
mod model;
mod probe;
mod rows;
mod slot_buffer;

pub use cuda_memory::{cuda_compute_capability, free_cuda_memory};
pub use decoder::Segment;
#[cfg(test)]
pub use device_logits::SAMPLING_SIZES;
pub use device_logits::Wanted;
pub use model::{Model, ModelOptions};
pub use probe::probe;
pub use rows::{Reader, Rows};
