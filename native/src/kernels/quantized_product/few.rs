//! Few rows: reads the codes as they are stored, column after column, with as many blocks at a time as a vector has lanes.

#![allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.

use super::super::dots::{DotWork, Dots, FOLD};
use super::super::element::Element;
use super::super::lanes::MAX_WIDTH;
use super::activations::{RECORD, lane_of};
use super::panel::Line;
use super::{BLOCK, Codes};

/// Rows whose sums fit the registers. With more, unpacking the codes once is faster than reading them again.
pub const FEW_ROWS: usize = 4;

/// `out[row · columns + column]` for all rows and the columns `from..to`.
pub struct Few<'a, T, const BITS: usize> {
    pub codes: &'a Codes<BITS>,
    pub from: usize,
    pub to: usize,
    /// From 1 to [`FEW_ROWS`].
    pub rows: usize,
    /// Rounded with `Arrangement::Few`.
    pub activations: *const u8,
    pub out: *mut T,
}

impl<T: Element, const BITS: usize> DotWork for Few<'_, T, BITS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Dots>(self) {
        assert!((1..=FEW_ROWS).contains(&self.rows));
        // SAFETY: the caller promises the columns, the rows and a CPU with `L`.
        unsafe {
            if self.rows == 1 {
                // Both halves at once: the processor fetches two streams from memory faster than one.
                let half = (self.to - self.from).div_ceil(2).next_multiple_of(L::WIDTH);
                for first in (self.from..self.to.min(self.from + half)).step_by(L::WIDTH) {
                    self.tile::<L, 1, 2>([first, first + half]);
                }
                return;
            }
            for first in (self.from..self.to).step_by(L::WIDTH) {
                match self.rows {
                    2 => self.tile::<L, 2, 1>([first]),
                    3 => self.tile::<L, 3, 1>([first]),
                    _ => self.tile::<L, FEW_ROWS, 1>([first]),
                }
            }
        }
    }
}

impl<T: Element, const BITS: usize> Few<'_, T, BITS> {
    /// As many columns from each of `firsts` on as a vector has lanes, and `R` rows.
    #[inline(always)]
    unsafe fn tile<L: Dots, const R: usize, const S: usize>(&self, firsts: [usize; S]) {
        let stride = self.codes.blocks.div_ceil(L::WIDTH) * L::WIDTH * RECORD;
        let mut sums = [[[Line::default(); MAX_WIDTH]; R]; S];
        let mut by_block = [Line::default(); MAX_WIDTH];
        // SAFETY: the caller promises the columns, the rounded rows, `out` and a CPU with `L`. A `Line` holds the widest
        // vector.
        unsafe {
            for column in 0..L::WIDTH.min(self.to - firsts[0]) {
                let columns = firsts.map(|first| first + column);
                let own = self.columns::<L, R, S>(columns, self.activations, stride);
                for s in 0..S {
                    for r in 0..R {
                        L::store_f32(sums[s][r].as_mut_ptr().add(column).cast(), own[s][r]);
                    }
                }
            }
            for s in 0..S {
                let columns = L::WIDTH.min(self.to.saturating_sub(firsts[s]));
                for r in 0..R {
                    // A column in each lane, so that all are added at once.
                    let own: [*const u8; MAX_WIDTH] =
                        std::array::from_fn(|column| sums[s][r].as_ptr().wrapping_add(column).cast());
                    let words = by_block.as_mut_ptr().cast::<u8>();
                    L::transpose(&own, 4 * L::WIDTH, words);
                    let lane = |block: usize| words.wrapping_add(lane_of::<L>(block) * 4 * L::WIDTH);
                    let mut totals = L::load_f32(lane(0).cast());
                    for block in 1..L::WIDTH {
                        totals = L::add(totals, L::load_f32(lane(block).cast()));
                    }
                    let out = self.out.wrapping_add(r * self.codes.columns + firsts[s]);
                    if columns == L::WIDTH {
                        T::store::<L>(out, totals);
                    } else {
                        let mut lanes = [0.0_f32; MAX_WIDTH];
                        L::store_f32(lanes.as_mut_ptr(), totals);
                        for c in 0..columns {
                            *out.add(c) = T::from_f32(lanes[c]);
                        }
                    }
                }
            }
        }
    }

    /// The sums of `S` columns for `R` rows, which are `stride` bytes apart; those of each block in `lane_of` it.
    #[inline(always)]
    unsafe fn columns<L: Dots, const R: usize, const S: usize>(
        &self,
        columns: [usize; S],
        mut rows: *const u8,
        stride: usize,
    ) -> [[L::Vector; R]; S] {
        let mut own = columns.map(|column| self.codes.column(column));
        // SAFETY: the caller promises the columns, the rows and a CPU with `L`. Only the last blocks may be fewer than a
        // vector's width, and `load_first` reads just them.
        unsafe {
            let mut sums = [[L::splat(0.0); R]; S];
            let mut left = self.codes.blocks;
            while left >= L::WIDTH {
                for s in 0..S {
                    let (code, scale, zero) = own[s];
                    add::<L, BITS, R, true>((code, scale, zero), L::WIDTH, (rows, stride), &mut sums[s]);
                    own[s] = (
                        code.add(L::WIDTH * Codes::<BITS>::BLOCK_BYTES),
                        scale.add(L::WIDTH),
                        zero.add(L::WIDTH * BITS / 8),
                    );
                }
                rows = rows.add(L::WIDTH * RECORD);
                left -= L::WIDTH;
            }
            if left > 0 {
                for s in 0..S {
                    add::<L, BITS, R, false>(own[s], left, (rows, stride), &mut sums[s]);
                }
            }
            sums
        }
    }
}

/// Adds `blocks` blocks to each row's sums: as many as a vector has lanes if `WHOLE`, else fewer.
#[inline(always)]
unsafe fn add<L: Dots, const BITS: usize, const R: usize, const WHOLE: bool>(
    (code, scale, zero): (*const u8, *const f32, *const u8),
    blocks: usize,
    (rows, stride): (*const u8, usize),
    sums: &mut [L::Vector; R],
) {
    let vector = 4 * L::WIDTH;
    let bytes = blocks * Codes::<BITS>::BLOCK_BYTES;
    // SAFETY: the caller promises the blocks in the column and in each row, and a CPU with `L`.
    unsafe {
        let codes_at = |at: usize| {
            if WHOLE {
                L::load(code.add(at))
            } else {
                L::load_first(code.wrapping_add(at), bytes.saturating_sub(at))
            }
        };
        let none = L::spread(0);
        let mut dots = [[none; FOLD]; R];
        for i in 0..FOLD {
            if !WHOLE && i * L::GROUPS >= blocks {
                break;
            }
            let at = 2 * i * vector;
            if BITS == 8 {
                let (codes, others) = (codes_at(at), codes_at(at + vector));
                for r in 0..R {
                    let row = rows.add(r * stride + at);
                    dots[r][i] = L::add_neighbours(
                        L::dot::<BITS>(none, codes, L::load(row)),
                        L::dot::<BITS>(none, others, L::load(row.add(vector))),
                    );
                }
            } else {
                let codes = codes_at(i * vector);
                let (low, high) = (L::low(codes), L::high(codes));
                for r in 0..R {
                    let row = rows.add(r * stride + at);
                    let dot = L::dot::<BITS>(none, low, L::load(row));
                    dots[r][i] = L::dot::<BITS>(dot, high, L::load(row.add(vector)));
                }
            }
        }
        let scales = if WHOLE { L::load(scale.cast()) } else { L::load_first(scale.cast(), 4 * blocks) };
        let zeros = L::load_first(zero, (blocks * BITS).div_ceil(8));
        let (scales, zeros) = (L::folded(scales), L::folded_bits::<BITS>(zeros));
        for r in 0..R {
            let rest = rows.add(r * stride + L::WIDTH * BLOCK);
            let dot = L::add_product(L::fold(dots[r]), zeros, L::load(rest));
            let scales = L::mul(scales, L::load_f32(rest.add(vector).cast()));
            sums[r] = L::mul_add(L::floats(dot), scales, sums[r]);
        }
    }
}
