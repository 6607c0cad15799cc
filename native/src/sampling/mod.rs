//! The sampler of src/sampling in Rust, bit for bit: the same double-precision operations in the same order. A request
//! gets the same tokens and log probabilities from both; only the speed differs.

mod candidates;
mod exponential;
mod fault;
mod highest;
mod logarithm;
mod logprobs;
mod parameters;
mod random;
mod request;
mod rows;
mod sampler;
mod scan;
mod state;
mod vectorized;
mod weight;

pub use fault::Fault;
pub use logarithm::logarithm;
pub use logprobs::{Logprobs, logprobs, rank};
#[cfg(test)]
pub use parameters::Parameters;
pub use random::uniform;
pub use request::SamplingRequest;
pub use rows::{Choice, Row, RowSampler};
pub use sampler::{Sampled, Sampler, require_finite};
pub use state::SamplingState;
pub use weight::top_weight;
