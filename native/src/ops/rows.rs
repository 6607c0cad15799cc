use super::blocks::Blocks;
use crate::kernels::matrix::MAX_BLOCKS;
use crate::kernels::{Element, Matrix, Mixer};

const MAX_ROWS: usize = MAX_BLOCKS + 1;

/// Start addresses of the blocks that a kernel reads and writes. They are on the stack and filled in place, because a
/// decode step runs many small kernels.
#[derive(Clone, Copy)]
pub struct Rows<T> {
    ins: [*const T; MAX_ROWS],
    outs: [*mut T; MAX_ROWS],
    read: usize,
    written: usize,
}

// SAFETY: Rows only holds addresses. Only `mix` uses them, and its caller answers for the memory there:
// threads work on pieces that do not overlap.
unsafe impl<T> Sync for Rows<T> {}

impl<T: Element> Rows<T> {
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            ins: [std::ptr::null(); MAX_ROWS],
            outs: [std::ptr::null_mut(); MAX_ROWS],
            read: 0,
            written: 0,
        }
    }

    #[inline(always)]
    pub fn read(&mut self, row: *const T) -> &mut Self {
        self.ins[self.read] = row;
        self.read += 1;
        self
    }

    #[inline(always)]
    pub fn write(&mut self, row: *mut T) -> &mut Self {
        self.outs[self.written] = row;
        self.written += 1;
        self
    }

    #[inline(always)]
    pub fn read_blocks(&mut self, x: *const T, blocks: &Blocks) -> &mut Self {
        (0..blocks.count).fold(self, |rows, block| rows.read(x.wrapping_add(block * blocks.length())))
    }

    #[inline(always)]
    pub fn write_blocks(&mut self, x: *mut T, blocks: &Blocks) -> &mut Self {
        (0..blocks.count).fold(self, |rows, block| rows.write(x.wrapping_add(block * blocks.length())))
    }

    /// The same rows, `offset` elements further.
    #[inline(always)]
    pub fn at(&self, offset: usize) -> Self {
        let mut rows = *self;
        rows.ins[..rows.read].iter_mut().for_each(|row| *row = row.wrapping_add(offset));
        rows.outs[..rows.written].iter_mut().for_each(|row| *row = row.wrapping_add(offset));
        rows
    }

    #[inline(always)]
    pub fn mixer(&self) -> Mixer<T> {
        Mixer::new(self.written, self.read)
    }

    /// # Safety
    /// As [`Mixer::run`].
    pub unsafe fn mix(&self, mixer: &Mixer<T>, matrix: &Matrix, length: usize) {
        // SAFETY: the caller makes the promise that `run` asks for; only entries that were set are passed on.
        unsafe { mixer.run(matrix, &self.ins[..self.read], &self.outs[..self.written], length) }
    }
}
