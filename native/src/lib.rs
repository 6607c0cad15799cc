mod cuda;
pub mod grammar;
pub mod kernels;
mod memory;
pub mod ops;
pub mod ort;
pub mod sampling;
pub mod session;
#[cfg(any(test, feature = "timing"))]
pub mod timing;
// Entry points for Node: in a test binary there is no Node to link against.
#[cfg(not(test))]
mod binding;

#[global_allocator]
static ALLOCATOR: memory::Counted = memory::Counted;
