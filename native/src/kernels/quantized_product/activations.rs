//! Rounds rows of activations to 8 bits per block, in the layout of the kernel that reads them.

#![allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.

use super::super::dots::{DotWork, Dots, FOLD};
use super::super::element::Element;
use super::super::lanes::MAX_WIDTH;
use super::BLOCK;

/// Bytes of a row's block for [`super::panel::Panel`]: codes, −Σ codes, scale.
pub(super) const RECORD: usize = BLOCK + 8;

/// The layout of rounded activations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// For [`super::few::Few`]: row by row, for each [`Lanes::WIDTH`](super::super::lanes::Lanes::WIDTH) blocks, eight
    /// vectors of codes, then −Σ codes and the scale of each block in the lane where [`Dots::fold`] leaves it.
    Few,
    /// For [`super::panel::Panel`], all rows: by remainder and block, the codes of each row, then each row's −Σ codes, then
    /// each row's scale.
    Panel,
}

impl Arrangement {
    /// Bytes that `rows` rows of `blocks` blocks take with any instruction set.
    pub fn bytes(self, rows: usize, blocks: usize) -> usize {
        match self {
            Self::Few => rows * blocks.next_multiple_of(MAX_WIDTH) * RECORD,
            Self::Panel => rows * blocks * RECORD,
        }
    }
}

/// Rounds `rows` rows of `blocks` whole blocks at `from` into `to`.
pub struct Round<T, const BITS: usize> {
    pub from: *const T,
    pub rows: usize,
    pub blocks: usize,
    pub arrangement: Arrangement,
    pub to: *mut u8,
}

impl<T: Element, const BITS: usize> DotWork for Round<T, BITS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Dots>(self) {
        let (blocks, rows) = (self.blocks, self.rows);
        for row in 0..rows {
            for (place, block) in by_remainder::<L>(blocks).enumerate() {
                // SAFETY: the caller promises `rows` rows of `blocks` blocks, room for `Arrangement::bytes`, and a CPU
                // with `L`.
                unsafe {
                    let (codes, minus_sum, scale) =
                        round::<L, T, BITS>(self.from.add((row * blocks + block) * BLOCK));
                    match self.arrangement {
                        Arrangement::Panel => {
                            let record = self.to.add(place * rows * RECORD);
                            record.add(row * BLOCK).cast::<[i8; BLOCK]>().write_unaligned(codes);
                            let rest = record.add(rows * BLOCK).cast::<i32>();
                            rest.add(row).write_unaligned(minus_sum);
                            rest.add(rows + row).cast::<f32>().write_unaligned(scale);
                        }
                        Arrangement::Few => {
                            let (own, lane) = (block % L::WIDTH, lane_of::<L>(block));
                            let place = row * blocks.div_ceil(L::WIDTH) + block / L::WIDTH;
                            let record = self.to.add(place * L::WIDTH * RECORD);
                            if BITS == 8 {
                                record.add(own * BLOCK).cast::<[i8; BLOCK]>().write_unaligned(codes);
                            } else {
                                // Vectors of even and of odd places alternate.
                                let halves: [[i8; BLOCK / 2]; 2] = std::mem::transmute(codes);
                                let (pair, half) = (own / L::GROUPS, own % L::GROUPS * 16);
                                let even = record.add(8 * L::WIDTH * pair + half).cast::<[i8; 16]>();
                                even.write_unaligned(halves[0]);
                                even.byte_add(4 * L::WIDTH).write_unaligned(halves[1]);
                            }
                            let rest = record.add(L::WIDTH * BLOCK);
                            rest.cast::<i32>().add(lane).write_unaligned(minus_sum);
                            rest.cast::<f32>().add(L::WIDTH + lane).write_unaligned(scale);
                        }
                    }
                }
            }
        }
    }
}

/// Blocks in the order in which they are summed.
#[inline(always)]
fn by_remainder<L: Dots>(blocks: usize) -> impl Iterator<Item = usize> {
    (0..L::WIDTH).flat_map(move |first| (first..blocks).step_by(L::WIDTH))
}

/// The lane in which [`Dots::fold`] leaves a block.
#[inline(always)]
pub(super) fn lane_of<L: Dots>(block: usize) -> usize {
    block % L::GROUPS * FOLD + block % L::WIDTH / L::GROUPS
}

/// Codes of a block, with 4 bits those at even places first, then minus their sum, and their scale. A block with a
/// number that is not finite has the scale NaN.
#[inline(always)]
unsafe fn round<L: Dots, T: Element, const BITS: usize>(from: *const T) -> ([i8; BLOCK], i32, f32) {
    const LANES: usize = 16;
    // 1.5 · 2²³: adding it rounds a small number to a whole one, in the lowest bits.
    const ROUNDING: f32 = 12_582_912.0;
    let mut values = [0.0_f32; BLOCK];
    for at in (0..BLOCK).step_by(L::WIDTH) {
        // SAFETY: BLOCK is a multiple of every vector's width. The caller promises a block and a CPU with `L`.
        unsafe { L::store_f32(values.as_mut_ptr().add(at), T::load::<L>(from.add(at))) };
    }
    // Plain loops over arrays, which become vectors of the caller's instructions.
    let (mut greatest, mut fault) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    for at in (0..BLOCK).step_by(LANES) {
        for i in 0..LANES {
            let value = values[at + i];
            greatest[i] = if value.abs() > greatest[i] { value.abs() } else { greatest[i] };
            // Zero, or NaN if the number is not finite.
            fault[i] += 0.0 * value;
        }
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            greatest[i] = if greatest[i + width] > greatest[i] { greatest[i + width] } else { greatest[i] };
            fault[i] += fault[i + width];
        }
        width /= 2;
    }
    let inverse = if greatest[0] > 0.0 { 127.0 / greatest[0] } else { 0.0 };
    let mut whole = [0_i32; BLOCK];
    let mut sum = 0;
    for i in 0..BLOCK {
        let place = if BITS == 8 { i } else { i / 2 + i % 2 * (BLOCK / 2) };
        whole[place] = (values[i] * inverse + ROUNDING).to_bits() as i32 - ROUNDING.to_bits() as i32;
    }
    let mut codes = [0_i8; BLOCK];
    for i in 0..BLOCK {
        codes[i] = whole[i] as i8;
        sum += i32::from(codes[i]);
    }
    (codes, -sum, greatest[0] / 127.0 + fault[0])
}
