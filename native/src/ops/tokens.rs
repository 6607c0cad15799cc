//! Work that goes token by token, on one thread or on ONNX Runtime's.

use super::compute::Compute;
use crate::ort::Result;

/// Numbers in a piece of one row that one thread takes at a time.
pub const PIECE: usize = 16 * 1024;
/// Numbers of one row below which waking other threads costs more than it gains.
pub const SERIAL: usize = 32 * 1024;

/// `task(token)` for each token of `width` numbers; tokens far apart run on several threads.
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

/// A place in a tensor that several threads work on, each at offsets of its own.
#[derive(Clone, Copy)]
pub struct Place<T>(*mut T);

unsafe impl<T> Send for Place<T> {}
unsafe impl<T> Sync for Place<T> {}

impl<T> Place<T> {
    pub fn of(start: *mut T) -> Self {
        Self(start)
    }

    pub fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}
