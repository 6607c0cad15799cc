//! One column of the product's matrix, as numbers. It is a row of codes as stored: a token's embedding, if the matrix is a
//! head that is tied to the table of embeddings.

use half::f16;

use super::packed::{Packed, Parts, SCALE_FACTOR, in_order};
use super::{BLOCK, Codes};
use crate::kernels::dots::PANEL;

impl<const BITS: usize> Packed<BITS> {
    /// Writes scale · (code − zero point) of each number in `column` to `out`.
    pub fn read_column(&self, column: usize, out: &mut [f32]) {
        assert!(column < self.columns && out.len() == self.blocks * BLOCK);
        let Parts { scale_bytes, scales, zeros, .. } = self.parts;
        let lane = column % PANEL;
        // SAFETY: the matrix has this panel, since it has the column, and nobody writes to it.
        let panel = unsafe { std::slice::from_raw_parts(self.panel(column / PANEL), self.panel_bytes()) };
        for (place, block) in in_order(self.blocks).enumerate() {
            let four = |start: usize| <[u8; 4]>::try_from(&panel[start..][..4]).expect("four bytes");
            let scale = scales + scale_bytes * (place * PANEL + lane);
            let scale = if scale_bytes == 2 {
                f16::from_ne_bytes([panel[scale], panel[scale + 1]]).to_f32() / SCALE_FACTOR
            } else {
                f32::from_ne_bytes(four(scale))
            };
            let (byte, shift) = Self::zero_place(lane);
            let zero = panel[zeros + place * PANEL * BITS / 8 + byte] >> shift;
            let zero = if BITS == 4 { zero & 15 } else { zero };
            let mut out = out[block * BLOCK..][..BLOCK].chunks_exact_mut(BLOCK / BITS);
            for i in 0..BITS {
                let word = four(4 * ((place * BITS + i) * PANEL + lane));
                write::<BITS>(&word, scale, zero, out.next().expect("a part for each word"));
            }
        }
    }
}

impl<const BITS: usize> Codes<BITS> {
    /// Writes scale · (code − zero point) of each number in `column` to `out`.
    ///
    /// # Safety
    /// The codes, scales and zero points are there to be read.
    pub unsafe fn read_column(&self, column: usize, out: &mut [f32]) {
        assert!(column < self.columns && out.len() == self.blocks * BLOCK);
        // SAFETY: the caller's promise.
        let (codes, scales, zeros) = unsafe { self.column(column) };
        let blocks = codes.chunks_exact(BLOCK * BITS / 8).zip(out.chunks_exact_mut(BLOCK));
        for (block, (codes, out)) in blocks.enumerate() {
            write::<BITS>(codes, scales[block], zero_of::<BITS>(zeros, block), out);
        }
    }
}

/// A column's zero point of a block.
pub(super) fn zero_of<const BITS: usize>(zeros: &[u8], block: usize) -> u8 {
    let bits = zeros[block * BITS / 8] >> (block * BITS % 8);
    bits & ((1_u16 << BITS) - 1) as u8
}

/// One rounding, like ONNX Runtime's `GatherBlockQuantized`: the difference is exact.
fn write<const BITS: usize>(codes: &[u8], scale: f32, zero: u8, out: &mut [f32]) {
    let number = |code: u8| f32::from(i16::from(code) - i16::from(zero)) * scale;
    if BITS == 8 {
        for (code, out) in codes.iter().zip(out) {
            *out = number(*code);
        }
    } else {
        for (pair, out) in codes.iter().zip(out.chunks_exact_mut(2)) {
            out[0] = number(pair & 15);
            out[1] = number(pair >> 4);
        }
    }
}
