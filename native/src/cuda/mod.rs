//! The `ai.altup` operators and sampling on CUDA. NVRTC compiles them for the session's device. CUDA's libraries are opened
//! only when a node is placed on CUDA, so one addon serves machines with and without them.

mod device;
mod driver;
mod element;
mod launch;
pub mod mix;
pub mod moves;
mod on_device;
mod program;

#[cfg(test)]
pub mod emulation;
#[cfg(test)]
pub mod tests;

pub use device::{Device, Launch};
pub use driver::{Cuda, compute_capability, failed as driver_failed, open_driver};
pub use launch::Spread;
pub use on_device::{DeviceKernel, NO_BLOCKS, OnDevice, Programs};
pub use program::{ALTERNATIVES, SamplingSizes, Source};
