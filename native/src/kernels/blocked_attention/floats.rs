//! Blocks of keys and values as they come.

use std::marker::PhantomData;

use super::{BLOCK, Block, BlockAttention, Products, record, stride};
use crate::kernels::InstructionSet;
use crate::kernels::element::Element;
use crate::kernels::instruction_set::Vectorised;
use crate::kernels::lanes::{Lanes, MAX_WIDTH};
use crate::kernels::row::load_part;

/// Keys whose scores are summed at the same time.
const KEYS: usize = 4;
/// Vectors of a value that are added at the same time.
const COLUMNS: usize = 4;
/// Values whose columns are added while they are in the first-level cache.
const NEAR: usize = 16;

/// Copies a query to a row of `queries`, with each number rounded to `C`.
pub struct ReadQuery<T, C> {
    /// `head_size` elements.
    pub query: *const T,
    pub head_size: usize,
    /// [`stride`] zeros.
    pub out: *mut f32,
    pub rounded_to: PhantomData<C>,
}

impl<T: Element, C: Element> ReadQuery<T, C> {
    /// # Safety
    /// `query` and `out` are valid for what they say, and `set` is available.
    pub unsafe fn run(self, set: InstructionSet) {
        // SAFETY: the caller's promise.
        unsafe { set.run(self) }
    }
}

impl<T: Element, C: Element> Vectorised for ReadQuery<T, C> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for at in (0..self.head_size).step_by(L::WIDTH) {
            // SAFETY: `load_part` stops at the end of the query, a whole vector ends within the stride, and `rounded`
            // holds the widest. The caller promises a CPU with `L`.
            unsafe {
                let part = L::WIDTH.min(self.head_size - at);
                let mut rounded = [C::default(); MAX_WIDTH];
                C::store::<L>(rounded.as_mut_ptr(), load_part::<L, T>(self.query.add(at), part, 0.0));
                L::store_f32(self.out.add(at), C::load::<L>(rounded.as_ptr()));
            }
        }
    }
}

/// Numbers as they are.
#[derive(Clone, Copy)]
pub struct FloatBlock<'a, T> {
    /// The first row of the block, rows of the head size.
    pub keys: *const T,
    pub values: *const T,
    /// [rows, [`stride`]]
    pub queries: &'a [f32],
}

impl<T: Element> Block for FloatBlock<'_, T> {
    type Set = InstructionSet;

    fn has_queries(&self, rows: usize, head_size: usize) -> bool {
        self.queries.len() >= rows * stride(head_size)
    }

    unsafe fn attend(attention: BlockAttention<Self>, set: InstructionSet) {
        // SAFETY: the caller's promise.
        unsafe { set.run(attention) }
    }
}

impl<T: Element> FloatBlock<'_, T> {
    /// query · key of the rows `row..row + R` with these keys.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // As in `add`.
    unsafe fn products<L: Lanes, const R: usize>(
        &self,
        width: usize,
        row: usize,
        keys: [usize; KEYS],
    ) -> [[f32; KEYS]; R] {
        let whole = width - width % L::WIDTH;
        let queries = self.queries[row * stride(width)..].as_ptr();
        let mut products = [[0.0; KEYS]; R];
        // SAFETY: the caller promises queries, keys and a CPU with `L`. `load_part` reads just the rest of a key. Whole
        // vectors of queries end within their stride.
        unsafe {
            let mut sums = [[L::splat(0.0); KEYS]; R];
            for at in (0..width).step_by(L::WIDTH) {
                let mut key = [L::splat(0.0); KEYS];
                for i in 0..KEYS {
                    let from = self.keys.add(keys[i] * width + at);
                    key[i] = if at < whole {
                        T::load::<L>(from)
                    } else {
                        load_part::<L, T>(from, width - at, 0.0)
                    };
                }
                for r in 0..R {
                    let query = L::load_f32(queries.add(r * stride(width) + at));
                    for i in 0..KEYS {
                        sums[r][i] = L::mul_add(query, key[i], sums[r][i]);
                    }
                }
            }
            for r in 0..R {
                products[r] = L::sums(sums[r]);
            }
        }
        products
    }

    /// Adds weightⱼ·valueⱼ for the keys of `span` to the records of `R` rows, key by key.
    #[inline(always)]
    unsafe fn add_span<L: Lanes, const R: usize>(
        &self,
        width: usize,
        (start, end): (usize, usize),
        weights: &[[f32; BLOCK]; R],
        sums: &mut [f32],
    ) {
        let (size, sums) = (record(width), sums.as_mut_ptr());
        for from in (start..end).step_by(NEAR) {
            let near = from..end.min(from + NEAR);
            let mut column = 0;
            while column < width {
                // SAFETY: the caller promises values of the span, and `R` records. A vector that does not end within the
                // head size is loaded in part and stored within the stride. The caller promises a CPU with `L`.
                unsafe {
                    let (sums, values) = (sums.add(column), self.values.add(column));
                    let values = (values, width);
                    if column + COLUMNS * L::WIDTH <= width {
                        add::<L, T, R, COLUMNS>((sums, size), near.clone(), weights, values, L::WIDTH);
                        column += COLUMNS * L::WIDTH;
                    } else {
                        add::<L, T, R, 1>(
                            (sums, size),
                            near.clone(),
                            weights,
                            values,
                            L::WIDTH.min(width - column),
                        );
                        column += L::WIDTH;
                    }
                }
            }
        }
    }
}

impl<L: Lanes, T: Element> Products<L> for FloatBlock<'_, T> {
    type Floats = L;

    /// It also computes a few keys before `from`, to begin at a multiple.
    #[inline(always)]
    unsafe fn score<const R: usize>(
        &self,
        head_size: usize,
        row: usize,
        (from, to): (usize, usize),
        scores: &mut [[f32; BLOCK]; R],
    ) {
        for first in (from - from % KEYS..to).step_by(KEYS) {
            let mut keys = [first; KEYS];
            for (i, key) in keys.iter_mut().enumerate() {
                *key = (first + i).min(to - 1);
            }
            // SAFETY: keys up to `to` exist, and later ones are replaced by the last. The caller promises the queries
            // and a CPU with `L`.
            let products = unsafe { self.products::<L, R>(head_size, row, keys) };
            for (scores, products) in scores.iter_mut().zip(&products) {
                scores[first..first + KEYS].copy_from_slice(products);
            }
        }
    }

    #[inline(always)]
    unsafe fn mix<const R: usize>(
        &self,
        head_size: usize,
        spans: &[(usize, usize); R],
        weights: &[[f32; BLOCK]; R],
        sums: &mut [f32],
    ) {
        let size = record(head_size);
        // Keys that all rows attend to, and what single rows attend to before and behind them.
        let common = (
            spans.iter().map(|span| span.0).max().unwrap_or(0),
            spans.iter().map(|span| span.1).min().unwrap_or(0),
        );
        // SAFETY: the caller's promise.
        unsafe {
            if R == 1 || common.0 >= common.1 {
                for (i, own) in spans.iter().enumerate() {
                    self.add_span::<L, 1>(
                        head_size,
                        *own,
                        std::array::from_ref(&weights[i]),
                        &mut sums[i * size..],
                    );
                }
                return;
            }
            for (i, own) in spans.iter().enumerate() {
                let before = (own.0, common.0);
                self.add_span::<L, 1>(
                    head_size,
                    before,
                    std::array::from_ref(&weights[i]),
                    &mut sums[i * size..],
                );
            }
            self.add_span::<L, R>(head_size, common, weights, sums);
            for (i, own) in spans.iter().enumerate() {
                let behind = (common.1, own.1);
                self.add_span::<L, 1>(
                    head_size,
                    behind,
                    std::array::from_ref(&weights[i]),
                    &mut sums[i * size..],
                );
            }
        }
    }
}

impl<T: Element> Vectorised for BlockAttention<'_, FloatBlock<'_, T>> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.all::<L>() }
    }
}

/// Adds the weighted values of the keys `near` to `C` vectors in each of `R` records, which are `size` numbers apart.
/// Values are `width` elements apart; the last vector of each has `last` elements.
///
/// # Safety
/// The records have these vectors and the values these elements, and the CPU supports `L`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.
unsafe fn add<L: Lanes, T: Element, const R: usize, const C: usize>(
    (sums, size): (*mut f32, usize),
    near: std::ops::Range<usize>,
    weights: &[[f32; BLOCK]; R],
    (values, width): (*const T, usize),
    last: usize,
) {
    // SAFETY: the caller promises the records, the values and a CPU with `L`. `near` is within a block.
    unsafe {
        let mut own = [[L::splat(0.0); C]; R];
        for r in 0..R {
            for c in 0..C {
                own[r][c] = L::load_f32(sums.add(r * size + c * L::WIDTH));
            }
        }
        for j in near {
            let mut value = [L::splat(0.0); C];
            for c in 0..C {
                let from = values.add(j * width + c * L::WIDTH);
                value[c] =
                    if last == L::WIDTH { T::load::<L>(from) } else { load_part::<L, T>(from, last, 0.0) };
            }
            for r in 0..R {
                let weight = L::splat(*weights[r].get_unchecked(j));
                for c in 0..C {
                    own[r][c] = L::mul_add(weight, value[c], own[r][c]);
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                L::store_f32(sums.add(r * size + c * L::WIDTH), own[r][c]);
            }
        }
    }
}
