//! Rows of activations times a matrix of 4- or 8-bit codes, as `MatMulNBits` stores it: columns of the product are rows
//! of codes, in blocks of [`BLOCK`] that share a scale and a zero point. Activations are rounded to 8 bits, block by
//! block, which is `MatMulNBits` at accuracy level 4.
//!
//! The matrix is packed once, so that a product reads it from start to end, in huge pages where the system has them.
//!
//! A block adds float(Σ a·(code − zero)) · (scale of the activations · scale of the codes), with the sum in i32. So the
//! only roundings are those of the activations and of the sum over blocks.
//!
//! **Equal rows.** Blocks whose numbers leave the same remainder when divided by 16 are summed in order, then these sums
//! are added in order. So a row's result depends on the row only: not on the other rows, the threads or the instruction
//! set.

mod activations;
mod arena;
mod column;
mod multiply;
mod packed;
mod panel;
#[cfg(test)]
mod tests;

pub use super::dots::BLOCK;
pub use arena::{Piece, begin_chunk};
pub use multiply::multiply;
pub use packed::Packed;

/// [columns, blocks · 32] codes of `BITS` bits; with 4 bits, the first of two is in the low half of a byte.
#[derive(Clone, Copy)]
pub struct Codes<const BITS: usize> {
    pub codes: *const u8,
    /// [columns, blocks]
    pub scales: *const f32,
    /// [columns, blocks], packed like the codes; each column starts on a new byte.
    pub zeros: *const u8,
    pub columns: usize,
    pub blocks: usize,
}

// SAFETY: it is addresses and sizes, and nobody writes to what is there.
unsafe impl<const BITS: usize> Sync for Codes<BITS> {}

impl<const BITS: usize> Codes<BITS> {
    /// Codes, scales and zero points of a column. Columns behind the last stand for the last.
    ///
    /// # Safety
    /// The matrix is there to be read, during `'a`.
    unsafe fn column<'a>(&self, column: usize) -> (&'a [u8], &'a [f32], &'a [u8]) {
        let column = column.min(self.columns - 1);
        let (bytes, zeros) = (self.blocks * BLOCK * BITS / 8, (self.blocks * BITS).div_ceil(8));
        // SAFETY: the caller's promise.
        unsafe {
            (
                std::slice::from_raw_parts(self.codes.add(column * bytes), bytes),
                std::slice::from_raw_parts(self.scales.add(column * self.blocks), self.blocks),
                std::slice::from_raw_parts(self.zeros.add(column * zeros), zeros),
            )
        }
    }
}
