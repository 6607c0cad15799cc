//! Multiplies rows with a panel: as many columns as a vector has lanes.

#![allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.

use super::super::dots::{DotWork, Dots};
use super::super::element::Element;
use super::super::lanes::MAX_WIDTH;
use super::activations::RECORD;
use super::packed::Packed;
use super::{BLOCK, packed::Parts};

/// `out[row · columns + column]` for all rows and the columns of panel `index`.
pub struct Panel<'a, T, const BITS: usize> {
    pub matrix: &'a Packed<BITS>,
    pub index: usize,
    pub rows: usize,
    /// Rounded, each [`Dots::ROWS`] rows by themselves.
    pub activations: *const u8,
    pub out: *mut T,
}

impl<T: Element, const BITS: usize> DotWork for Panel<'_, T, BITS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Dots>(self) {
        let Packed { blocks, columns, .. } = *self.matrix;
        // SAFETY: the caller promises the rows and a CPU with `L`, for which the matrix is packed.
        unsafe {
            for first in (0..self.rows).step_by(L::ROWS) {
                let tile = self.activations.add(first * blocks * RECORD);
                let out = self.out.add(first * columns);
                match L::ROWS.min(self.rows - first) {
                    1 => self.tile::<L, 1>(tile, out),
                    2 => self.tile::<L, 2>(tile, out),
                    3 => self.tile::<L, 3>(tile, out),
                    4 => self.tile::<L, 4>(tile, out),
                    5 => self.tile::<L, 5>(tile, out),
                    6 => self.tile::<L, 6>(tile, out),
                    7 => self.tile::<L, 7>(tile, out),
                    _ => self.tile::<L, 8>(tile, out),
                }
            }
        }
    }
}

impl<T: Element, const BITS: usize> Panel<'_, T, BITS> {
    /// `R` rows of activations at `row`.
    #[inline(always)]
    unsafe fn tile<L: Dots, const R: usize>(&self, mut row: *const u8, out: *mut T) {
        let vector = 4 * L::WIDTH;
        let Packed { blocks, columns, .. } = *self.matrix;
        let Parts { scales, zeros, .. } = Packed::<BITS>::parts(L::WIDTH, blocks);
        let mut codes = self.matrix.panel(self.index);
        let ahead = self.matrix.panel_bytes();
        let (mut scales, mut zeros) = (codes.wrapping_add(scales), codes.wrapping_add(zeros));
        // SAFETY: the panel has all blocks, and the tile has them for `R` rows. `lanes` holds the widest vector, and only
        // columns that exist are written. The caller promises a CPU with `L`.
        unsafe {
            let mut totals = [L::splat(0.0); R];
            for first in 0..L::WIDTH {
                let mut sums = [L::splat(0.0); R];
                for _ in (first..blocks).step_by(L::WIDTH) {
                    let mut dots = [L::spread(0); R];
                    L::prefetch(scales.wrapping_add(ahead));
                    L::prefetch(zeros.wrapping_add(ahead));
                    for i in 0..BITS {
                        let word = L::load(codes.add(i * vector));
                        L::prefetch(codes.wrapping_add(i * vector + ahead));
                        if BITS == 8 {
                            add::<L, BITS, R>(&mut dots, word, row.add(4 * i));
                        } else {
                            add::<L, BITS, R>(&mut dots, L::low(word), row.add(4 * i));
                            add::<L, BITS, R>(&mut dots, L::high(word), row.add(BLOCK / 2 + 4 * i));
                        }
                    }
                    let (scale, zero) = (L::load_f32(scales.cast()), L::widen(zeros));
                    let rest = row.add(R * BLOCK);
                    for r in 0..R {
                        let minus_sum = L::spread(rest.cast::<i32>().add(r).read_unaligned());
                        let own = L::splat(rest.cast::<f32>().add(R + r).read_unaligned());
                        let dot = L::floats(L::add_product(dots[r], zero, minus_sum));
                        sums[r] = L::mul_add(dot, L::mul(scale, own), sums[r]);
                    }
                    codes = codes.add(BITS * vector);
                    scales = scales.add(vector);
                    zeros = zeros.add(L::WIDTH);
                    row = row.add(R * RECORD);
                }
                for r in 0..R {
                    totals[r] = if first == 0 { sums[r] } else { L::add(totals[r], sums[r]) };
                }
            }
            let column = self.index * L::WIDTH;
            let own = L::WIDTH.min(columns - column);
            for r in 0..R {
                let out = out.add(r * columns + column);
                if own == L::WIDTH {
                    T::store::<L>(out, totals[r]);
                } else {
                    let mut lanes = [0.0_f32; MAX_WIDTH];
                    L::store_f32(lanes.as_mut_ptr(), totals[r]);
                    for c in 0..own {
                        *out.add(c) = T::from_f32(lanes[c]);
                    }
                }
            }
        }
    }
}

/// Adds the products of each column's four codes with four activations of each row; rows are [`BLOCK`] bytes apart.
#[inline(always)]
unsafe fn add<L: Dots, const BITS: usize, const R: usize>(
    dots: &mut [L::Integers; R],
    codes: L::Integers,
    row: *const u8,
) {
    for r in 0..R {
        // SAFETY: the caller promises the rows and a CPU with `L`.
        unsafe {
            let four = row.add(r * BLOCK).cast::<i32>().read_unaligned();
            dots[r] = L::dot::<BITS>(dots[r], codes, L::spread(four));
        }
    }
}
