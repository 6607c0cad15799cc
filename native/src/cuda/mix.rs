//! Mixes the blocks of every token on a device: Predict, Correct, CorrectPredict and Collapse by sum. Coefficients stay in device memory, both weights and a router's
//! coefficients per token: nothing is copied to the host, and no run waits for a copy.

use std::ffi::c_void;
use std::ptr;

use super::device::Device;
use super::launch::{Call, Spread};
use crate::ops::Tensor;
use crate::ops::blocks::Blocks;
use crate::ort::Result;

/// Predict, Correct, CorrectPredict and Collapse by sum. Pointers that an operator does not use are null.
#[repr(C)]
pub struct Mix {
    pub x: *const c_void,
    pub y: *const c_void,
    pub gains: *const c_void,
    pub weights: *const c_void,
    pub mixed: *mut c_void,
    pub read: *mut c_void,
    pub block: i64,
    pub width: i64,
    pub gains_step: i64,
    pub weights_step: i64,
    pub active: i32,
    pub next: i32,
    pub reads_predicted: i32,
    pub chunks: u32,
}

/// Arguments with X as the only input and one set of coefficients for all tokens.
pub fn mix_of(x: &Tensor, blocks: &Blocks, mixed: *mut c_void) -> Mix {
    Mix {
        x: x.data(),
        y: ptr::null(),
        gains: ptr::null(),
        weights: ptr::null(),
        mixed,
        read: ptr::null_mut(),
        block: blocks.length() as i64,
        width: blocks.length() as i64,
        gains_step: 0,
        weights_step: 0,
        active: 0,
        next: 0,
        reads_predicted: 0,
        chunks: 0,
    }
}

/// Queues a mix. A row is a whole block, or one token if tokens have their own coefficients.
///
/// # Safety
/// The addresses in `mix` are valid for tensors with the shape in `blocks`.
pub unsafe fn queue_mix<D: Device>(
    call: &Call<D>,
    kernel: &'static str,
    blocks: &Blocks,
    mut mix: Mix,
    is_per_token: bool,
) -> Result<()> {
    let (rows, width) = if is_per_token { (blocks.tokens, blocks.width) } else { (1, blocks.length()) };
    let addresses = [mix.x, mix.y, mix.mixed.cast_const(), mix.read.cast_const()];
    let spread = Spread::new(call.variant, call.variant.lanes(), width, &[blocks.length()], &addresses);
    mix.width = width as i64;
    mix.chunks = spread.chunks;
    // SAFETY: the caller promises the addresses; `rows` × `width` is one block, and `spread` has checked alignment.
    // Outputs may overwrite inputs, because a thread reads all that it needs before it writes.
    unsafe { call.spread(kernel, rows, spread, &mix) }
}
