//! Rows of activations times a matrix of 4- or 8-bit codes, as `MatMulNBits` stores it: columns of the product are rows
//! of codes, in blocks of [`BLOCK`] that share a scale and a zero point. Activations are rounded to 8 bits, block by
//! block, which is `MatMulNBits` at accuracy level 4.
//!
//! A block adds float(Σ a·(code − zero)) · (scale of the activations · scale of the codes), with the sum in i32. So the
//! only roundings are those of the activations and of the sum over blocks.
//!
//! **Equal rows.** Blocks whose numbers leave the same remainder when divided by a vector's width are summed in order,
//! then these sums are added in order. [`few`] and [`panel`] both do this, each in its own layout. So a row's result
//! depends on the row only: not on the other rows, or on the threads.

mod activations;
mod few;
mod multiply;
mod panel;
#[cfg(test)]
mod tests;

pub use multiply::multiply;

/// Codes that share a scale and a zero point.
pub const BLOCK: usize = 32;

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

// SAFETY: the addresses are only read.
unsafe impl<const BITS: usize> Send for Codes<BITS> {}
// SAFETY: the addresses are only read.
unsafe impl<const BITS: usize> Sync for Codes<BITS> {}

impl<const BITS: usize> Codes<BITS> {
    const BLOCK_BYTES: usize = BLOCK * BITS / 8;

    /// Bytes of the codes of a column.
    const fn code_bytes(&self) -> usize {
        self.blocks * Self::BLOCK_BYTES
    }

    /// Bytes of the zero points of a column.
    const fn zero_bytes(&self) -> usize {
        (self.blocks * BITS).div_ceil(8)
    }

    /// Start of the codes, scales and zero points of a column. Columns behind the last stand for the last.
    fn column(&self, column: usize) -> (*const u8, *const f32, *const u8) {
        let column = column.min(self.columns - 1);
        (
            self.codes.wrapping_add(column * self.code_bytes()),
            self.scales.wrapping_add(column * self.blocks),
            self.zeros.wrapping_add(column * self.zero_bytes()),
        )
    }
}
