mod model;
mod nvrtc;
mod operators;

pub use model::{Attribute, Case, Tensor, library};
pub use operators::{SHAPES, Type, blocks_of, by_token, coefficient_dims, set, types};
