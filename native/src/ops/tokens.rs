//! Runs work token by token, on one thread or on ONNX Runtime's threads.

use super::compute::Compute;
use crate::ort::Result;

/// Numbers of one row that a thread takes at a time.
pub const PIECE: usize = 16 * 1024;
/// Below this many numbers in a row, waking other threads costs more than it gains.
pub const SERIAL: usize = 32 * 1024;

/// Runs `task(token)` for each token of `width` numbers, on several threads if there are at least [`SERIAL`] numbers.
pub fn for_each_token(
    context: &Compute,
    tokens: usize,
    width: usize,
    task: &(impl Fn(usize) + Sync),
) -> Result<()> {
    if tokens * width < SERIAL {
        (0..tokens).for_each(task);
        return Ok(());
    }
    let group = (PIECE / width).max(1);
    context.parallel(tokens.div_ceil(group), &|piece: usize| {
        (piece * group..tokens.min((piece + 1) * group)).for_each(task);
    })
}

/// An address in a tensor that several threads work on, each at its own offsets.
#[derive(Clone, Copy)]
pub struct Place<T>(*mut T);

// SAFETY: a Place is only an address; whoever reads or writes there answers for the memory and its threads.
unsafe impl<T> Send for Place<T> {}
// SAFETY: as for Send.
unsafe impl<T> Sync for Place<T> {}

impl<T> Place<T> {
    pub fn of(start: *mut T) -> Self {
        Self(start)
    }

    pub fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}
