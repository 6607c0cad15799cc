//! Rounds rows of activations to 8 bits per block, in the layout of [`super::panel`].

#![allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.

use super::super::dots::Dots;
use super::super::element::Element;
use super::super::instruction_set::DotWork;
use super::super::lanes::Lanes;
use super::BLOCK;
use super::packed::in_order;

/// Bytes of a row's block: codes, −Σ codes, scale.
pub(super) const RECORD: usize = BLOCK + 8;

/// Rounds `rows` rows of `blocks` whole blocks at `from` into `rows · blocks · RECORD` bytes at `to`: by block, in the
/// order in which they are summed, the codes of each row, then each row's −Σ codes, then each row's scale.
pub struct Round<T, const BITS: usize> {
    pub from: *const T,
    pub rows: usize,
    pub blocks: usize,
    pub to: *mut u8,
}

impl<T: Element, const BITS: usize> DotWork for Round<T, BITS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Dots>(self) {
        let (blocks, rows) = (self.blocks, self.rows);
        for row in 0..rows {
            for (place, block) in in_order(blocks).enumerate() {
                // SAFETY: the caller promises `rows` rows of `blocks` blocks, room for them, and a CPU with `L`.
                unsafe {
                    let (codes, minus_sum, scale) =
                        round::<L::Floats, T, BITS>(self.from.add((row * blocks + block) * BLOCK));
                    let record = self.to.add(place * rows * RECORD);
                    record.add(row * BLOCK).cast::<[i8; BLOCK]>().write_unaligned(codes);
                    let rest = record.add(rows * BLOCK).cast::<i32>();
                    rest.add(row).write_unaligned(minus_sum);
                    rest.add(rows + row).cast::<f32>().write_unaligned(scale);
                }
            }
        }
    }
}

/// Codes of a block, with 4 bits those at even places first, then minus their sum, and their scale. A block with a
/// number that is not finite has the scale NaN.
#[inline(always)]
unsafe fn round<L: Lanes, T: Element, const BITS: usize>(from: *const T) -> ([i8; BLOCK], i32, f32) {
    // 1.5 · 2²³: adding it rounds a small number to a whole one, in the lowest bits.
    const ROUNDING: f32 = 12_582_912.0;
    let mut values = [0.0_f32; BLOCK];
    for at in (0..BLOCK).step_by(L::WIDTH) {
        // SAFETY: BLOCK is a multiple of every vector's width. The caller promises a block and a CPU with `L`.
        unsafe { L::store_f32(values.as_mut_ptr().add(at), T::load::<L>(from.add(at))) };
    }
    // Plain loops over whole numbers, which become vectors of the caller's instructions. Magnitudes are in the order of
    // their bits; those of infinity and NaN come last.
    let mut bits = 0_i32;
    for i in 0..BLOCK {
        bits = bits.max((values[i].to_bits() & i32::MAX as u32) as i32);
    }
    let greatest = f32::from_bits(bits as u32);
    let inverse = if greatest > 0.0 { 127.0 / greatest } else { 0.0 };
    let mut whole = [0_i32; BLOCK];
    let mut sum = 0;
    for i in 0..BLOCK {
        whole[i] = (values[i] * inverse + ROUNDING).to_bits() as i32 - ROUNDING.to_bits() as i32;
        sum += i32::from(whole[i] as i8);
    }
    let mut codes = [0_i8; BLOCK];
    for i in 0..BLOCK / 2 {
        let (even, odd) = (whole[2 * i] as i8, whole[2 * i + 1] as i8);
        let places = if BITS == 8 { [2 * i, 2 * i + 1] } else { [i, i + BLOCK / 2] };
        (codes[places[0]], codes[places[1]]) = (even, odd);
    }
    let scale = if greatest.is_finite() { greatest / 127.0 } else { f32::NAN };
    (codes, -sum, scale)
}
