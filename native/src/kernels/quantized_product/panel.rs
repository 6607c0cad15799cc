//! Many rows: unpacks a panel of as many columns as a vector has lanes, then multiplies all rows with it.

#![allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.

use super::super::dots::{DotWork, Dots};
use super::super::element::Element;
use super::super::lanes::MAX_WIDTH;
use super::activations::RECORD;
use super::{BLOCK, Codes};

/// A cache line of scratch.
#[allow(dead_code)] // Accessed by its address only.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
pub struct Line([u8; 32], [u8; 32]);

/// Vectors of a block in a panel: a column in each lane with four codes each, the zero points, the scales.
const VECTORS: usize = BLOCK / 4 + 2;

/// Scratch for a panel, with any instruction set.
pub const fn panel_lines(blocks: usize) -> usize {
    blocks * VECTORS
}

/// `out[row · columns + column]` for all rows and the columns from `column` on, one per lane.
pub struct Panel<'a, T, const BITS: usize> {
    pub codes: &'a Codes<BITS>,
    pub column: usize,
    pub rows: usize,
    /// Rounded with `Arrangement::Panel`, each [`Dots::ROWS`] rows by themselves.
    pub activations: *const u8,
    pub out: *mut T,
    pub scratch: &'a mut [Line],
}

impl<T: Element, const BITS: usize> DotWork for Panel<'_, T, BITS> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Dots>(self) {
        assert!(self.scratch.len() >= panel_lines(self.codes.blocks));
        let panel = self.scratch.as_mut_ptr().cast::<u8>();
        // SAFETY: the scratch was just checked. The caller promises the codes, the rows and a CPU with `L`.
        unsafe {
            unpack::<L, BITS>(self.codes, self.column, panel);
            for first in (0..self.rows).step_by(L::ROWS) {
                let tile = self.activations.add(first * self.codes.blocks * RECORD);
                let out = self.out.add(first * self.codes.columns);
                match L::ROWS.min(self.rows - first) {
                    1 => self.tile::<L, 1>(panel, tile, out),
                    2 => self.tile::<L, 2>(panel, tile, out),
                    3 => self.tile::<L, 3>(panel, tile, out),
                    4 => self.tile::<L, 4>(panel, tile, out),
                    5 => self.tile::<L, 5>(panel, tile, out),
                    6 => self.tile::<L, 6>(panel, tile, out),
                    7 => self.tile::<L, 7>(panel, tile, out),
                    _ => self.tile::<L, 8>(panel, tile, out),
                }
            }
        }
    }
}

impl<T: Element, const BITS: usize> Panel<'_, T, BITS> {
    #[inline(always)]
    unsafe fn tile<L: Dots, const R: usize>(&self, panel: *const u8, tile: *const u8, out: *mut T) {
        let vector = 4 * L::WIDTH;
        let (mut block, mut row) = (panel, tile);
        // SAFETY: the panel has all blocks, and the tile has them for `R` rows. `lanes` holds the widest vector, and only
        // columns that exist are written. The caller promises a CPU with `L`.
        unsafe {
            let mut totals = [L::splat(0.0); R];
            for first in 0..L::WIDTH {
                let mut sums = [L::splat(0.0); R];
                for _ in (first..self.codes.blocks).step_by(L::WIDTH) {
                    let mut dots = [L::spread(0); R];
                    for i in 0..BLOCK / 4 {
                        let codes = L::load(block.add(i * vector));
                        for r in 0..R {
                            let four = row.add(r * BLOCK + 4 * i).cast::<i32>().read_unaligned();
                            dots[r] = L::dot::<BITS>(dots[r], codes, L::spread(four));
                        }
                    }
                    let zeros = L::load(block.add((VECTORS - 2) * vector));
                    let scales = L::load_f32(block.add((VECTORS - 1) * vector).cast());
                    let rest = row.add(R * BLOCK);
                    for r in 0..R {
                        let minus_sum = L::spread(rest.cast::<i32>().add(r).read_unaligned());
                        let scale = L::splat(rest.cast::<f32>().add(R + r).read_unaligned());
                        let dot = L::floats(L::add_product(dots[r], zeros, minus_sum));
                        sums[r] = L::mul_add(dot, L::mul(scales, scale), sums[r]);
                    }
                    block = block.add(VECTORS * vector);
                    row = row.add(R * RECORD);
                }
                for r in 0..R {
                    totals[r] = if first == 0 { sums[r] } else { L::add(totals[r], sums[r]) };
                }
            }
            let own = L::WIDTH.min(self.codes.columns - self.column);
            for r in 0..R {
                let out = out.add(r * self.codes.columns + self.column);
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

/// Puts the columns from `column` on into lanes, block by block in the order in which they are summed.
#[inline(always)]
unsafe fn unpack<L: Dots, const BITS: usize>(codes: &Codes<BITS>, column: usize, panel: *mut u8) {
    let vector = 4 * L::WIDTH;
    let blocks = codes.blocks;
    let mut code = [std::ptr::null::<u8>(); MAX_WIDTH];
    let mut scale = [std::ptr::null::<u8>(); MAX_WIDTH];
    let mut zero = [std::ptr::null::<u8>(); MAX_WIDTH];
    for c in 0..L::WIDTH {
        let (codes, scales, zeros) = codes.column(column + c);
        (code[c], scale[c], zero[c]) = (codes, scales.cast(), zeros);
    }
    // Where a remainder's blocks start.
    let mut starts = [0; MAX_WIDTH];
    for lane in 1..L::WIDTH {
        starts[lane] = starts[lane - 1] + (blocks + L::WIDTH - lane) / L::WIDTH;
    }
    let place =
        |block: usize| panel.wrapping_add((starts[block % L::WIDTH] + block / L::WIDTH) * VECTORS * vector);
    let mut lines = [Line::default(); MAX_WIDTH];
    let words = lines.as_mut_ptr().cast::<u8>();
    // SAFETY: the caller promises the columns, a panel with room for all blocks and a CPU with `L`. `advance` stays
    // within a column, and `transpose` reads no more than is left of it. `lines` has room for its vectors.
    unsafe {
        for at in (0..codes.code_bytes()).step_by(vector) {
            let left = (codes.code_bytes() - at).min(vector);
            for from in &code[..L::WIDTH] {
                // The next panel's.
                L::prefetch(from.wrapping_add(L::WIDTH * codes.code_bytes()));
            }
            L::transpose(&code, left, words);
            for word in 0..left / 4 {
                let (block, i) = ((at / 4 + word) / BITS, (at / 4 + word) % BITS);
                let four = L::load(words.add(word * vector));
                if BITS == 8 {
                    L::store(place(block).add(i * vector), four);
                } else {
                    L::store(place(block).add(i * vector), L::low(four));
                    L::store(place(block).add((i + BITS) * vector), L::high(four));
                }
            }
            advance::<L>(&mut code, vector);
        }
        for at in (0..codes.zero_bytes()).step_by(vector) {
            let left = (codes.zero_bytes() - at).min(vector);
            L::transpose(&zero, left, words);
            let first = at * 8 / BITS;
            for block in first..blocks.min(first + vector * 8 / BITS) {
                let (word, shift) = ((block - first) * BITS / 32, (block - first) * BITS % 32);
                let zeros = L::field::<BITS>(L::load(words.add(word * vector)), shift);
                L::store(place(block).add((VECTORS - 2) * vector), zeros);
            }
            advance::<L>(&mut zero, vector);
        }
        for at in (0..4 * blocks).step_by(vector) {
            let left = (4 * blocks - at).min(vector);
            L::transpose(&scale, left, words);
            for word in 0..left / 4 {
                let to = place(at / 4 + word).add((VECTORS - 1) * vector);
                L::store(to, L::load(words.add(word * vector)));
            }
            advance::<L>(&mut scale, vector);
        }
    }
}

#[inline(always)]
fn advance<L: Dots>(columns: &mut [*const u8; MAX_WIDTH], bytes: usize) {
    for column in &mut columns[..L::WIDTH] {
        *column = column.wrapping_add(bytes);
    }
}
