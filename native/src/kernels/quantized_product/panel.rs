//! Multiplies rows with a panel of columns.

#![allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.

use super::super::dots::{Dots, FloatsOf, PANEL};
use super::super::element::Element;
use super::super::instruction_set::DotWork;
use super::super::lanes::Lanes;
use super::BLOCK;
use super::activations::RECORD;
use super::packed::{Packed, Parts, SCALE_FACTOR};

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
        // SAFETY: the caller's promises.
        unsafe {
            match (PANEL / L::Floats::WIDTH, self.matrix.parts.scale_bytes) {
                (1, 2) => self.tiles::<L, 1, 2>(),
                (1, 4) => self.tiles::<L, 1, 4>(),
                (2, 2) => self.tiles::<L, 2, 2>(),
                (2, 4) => self.tiles::<L, 2, 4>(),
                _ => unreachable!("vectors have 8 or 16 lanes, scales 2 or 4 bytes"),
            }
        }
    }
}

impl<T: Element, const BITS: usize> Panel<'_, T, BITS> {
    /// `V` vectors hold the panel's columns, whose scales have `S` bytes.
    #[inline(always)]
    unsafe fn tiles<L: Dots, const V: usize, const S: usize>(self) {
        let Packed { blocks, columns, .. } = *self.matrix;
        // SAFETY: the caller promises the rows and a CPU with `L`.
        unsafe {
            for first in (0..self.rows).step_by(L::ROWS) {
                let tile = self.activations.add(first * blocks * RECORD);
                let out = self.out.add(first * columns);
                match L::ROWS.min(self.rows - first) {
                    1 => self.tile::<L, 1, V, S>(tile, out),
                    2 => self.tile::<L, 2, V, S>(tile, out),
                    3 => self.tile::<L, 3, V, S>(tile, out),
                    4 => self.tile::<L, 4, V, S>(tile, out),
                    5 => self.tile::<L, 5, V, S>(tile, out),
                    6 => self.tile::<L, 6, V, S>(tile, out),
                    7 => self.tile::<L, 7, V, S>(tile, out),
                    _ => self.tile::<L, 8, V, S>(tile, out),
                }
            }
        }
    }

    /// `R` rows of activations at `row`.
    #[inline(always)]
    unsafe fn tile<L: Dots, const R: usize, const V: usize, const S: usize>(
        &self,
        mut row: *const u8,
        out: *mut T,
    ) {
        let width = L::Floats::WIDTH;
        let Packed { blocks, columns, .. } = *self.matrix;
        let Parts { scales, zeros, .. } = self.matrix.parts;
        let mut codes = self.matrix.panel(self.index);
        let ahead = self.matrix.panel_bytes();
        let (mut scales, mut zeros) = (codes.wrapping_add(scales), codes.wrapping_add(zeros));
        // SAFETY: the panel has all blocks, and the tile has them for `R` rows. Only columns that exist are written. The
        // caller promises a CPU with `L`.
        unsafe {
            let mut totals = [[L::Floats::splat(0.0); V]; R];
            for first in 0..PANEL {
                let mut sums = [[L::Floats::splat(0.0); V]; R];
                for _ in (first..blocks).step_by(PANEL) {
                    L::Floats::prefetch(scales.wrapping_add(ahead));
                    L::Floats::prefetch(zeros.wrapping_add(ahead));
                    let dots = L::block::<BITS, R, V>(codes, ahead, row);
                    let rest = row.add(R * BLOCK);
                    for v in 0..V {
                        let own_scales = scales.add(v * width * S);
                        let scale = if S == 2 {
                            L::Floats::load_f16(own_scales.cast())
                        } else {
                            L::Floats::load_f32(own_scales.cast())
                        };
                        let zero = L::zeros::<BITS>(zeros, v);
                        for r in 0..R {
                            let minus_sum = L::spread(rest.cast::<i32>().add(r).read_unaligned());
                            let own = L::Floats::splat(rest.cast::<f32>().add(R + r).read_unaligned());
                            let dot = L::add_zeros(dots[r][v], zero, minus_sum);
                            sums[r][v] = L::add_scaled(dot, L::Floats::mul(scale, own), sums[r][v]);
                        }
                    }
                    codes = codes.add(PANEL * BLOCK * BITS / 8);
                    scales = scales.add(PANEL * S);
                    zeros = zeros.add(PANEL * BITS / 8);
                    row = row.add(R * RECORD);
                }
                for r in 0..R {
                    for v in 0..V {
                        totals[r][v] =
                            if first == 0 { sums[r][v] } else { L::Floats::add(totals[r][v], sums[r][v]) };
                    }
                }
            }
            let column = self.index * PANEL;
            let unit = L::Floats::splat(if S == 2 { 1.0 / SCALE_FACTOR } else { 1.0 });
            for r in 0..R {
                for v in 0..V {
                    totals[r][v] = L::Floats::mul(totals[r][v], unit);
                }
                store::<T, L, V>(out.add(r * columns + column), columns - column, totals[r]);
            }
        }
    }
}

/// The first `count` numbers, if there are so many.
#[inline(always)]
unsafe fn store<T: Element, L: Dots, const V: usize>(to: *mut T, count: usize, numbers: [FloatsOf<L>; V]) {
    let width = L::Floats::WIDTH;
    // SAFETY: the caller promises room for them and a CPU with `L`. `all` has room for a panel.
    unsafe {
        if count >= PANEL {
            for v in 0..V {
                T::store::<L::Floats>(to.add(v * width), numbers[v]);
            }
            return;
        }
        let mut all = [0.0_f32; PANEL];
        for v in 0..V {
            L::Floats::store_f32(all.as_mut_ptr().add(v * width), numbers[v]);
        }
        for c in 0..count {
            *to.add(c) = T::from_f32(all[c]);
        }
    }
}
