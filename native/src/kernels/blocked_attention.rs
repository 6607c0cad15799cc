//! Attention of several query rows over one block of keys and values that they share, in f32. For each row it leaves
//! the greatest score m, Σ e^(scoreⱼ − m) and Σ e^(scoreⱼ − m)·vⱼ, which [`Merge`] adds up block by block (online
//! softmax: Milakov and Gimelshein, arXiv 1805.02867).
//!
//! **Equal rows.** Blocks begin at multiples of [`BLOCK`] positions. Each is computed alone, and a row's blocks are
//! merged in order. Inside a block, each sum has one fixed order. So a row's result depends on its query and its keys
//! only: not on the other rows, on the chunk of the prompt that it came in, or on the threads.

mod bytes;
mod floats;

pub use bytes::{ByteBlock, ByteQueries};
pub use floats::{FloatBlock, ReadQuery};

use super::element::Element;
use super::exponential::exponential;
use super::instruction_set::{InstructionSet, Vectorised};
use super::lanes::{Lanes, MAX_WIDTH};
use super::row::store_part;

/// Keys of one block. Its keys and values fit the second-level cache.
pub const BLOCK: usize = 128;

/// Numbers of a row in `queries`: whole vectors of every instruction set, zero behind the head size.
pub const fn stride(head_size: usize) -> usize {
    head_size.next_multiple_of(MAX_WIDTH)
}

/// Numbers that a row has in `sums`: a weighted sum of values, the greatest score, the sum of the weights.
pub const fn record(head_size: usize) -> usize {
    stride(head_size) + 2
}

/// A record without keys, which [`Merge`] may merge into.
pub fn empty(record: &mut [f32]) {
    record.fill(0.0);
    record[record.len() - 2] = f32::NEG_INFINITY;
}

/// Keys and values of one block, with the queries that read them.
pub trait Block: Copy {
    /// Instructions for the work on a block.
    type Set;

    fn has_queries(&self, rows: usize, head_size: usize) -> bool;

    /// # Safety
    /// `set` is available, and the attention's keys and values exist.
    unsafe fn attend(attention: BlockAttention<Self>, set: Self::Set);
}

/// How the instruction set `L` computes with a block.
///
/// # Safety
/// For all functions, the block has the queries, keys and values that they name, and the CPU supports `L`.
#[allow(clippy::missing_safety_doc)] // All functions share the contract above.
trait Products<L>: Block {
    /// Its float lanes.
    type Floats: Lanes;

    /// query · key of the rows `row..row + R` and the keys `from..to`. Scores near these may be overwritten.
    unsafe fn score<const R: usize>(
        &self,
        head_size: usize,
        row: usize,
        keys: (usize, usize),
        scores: &mut [[f32; BLOCK]; R],
    );

    /// Adds Σ weightⱼ·valueⱼ over each row's span to its record. `sums`: `R` records.
    unsafe fn mix<const R: usize>(
        &self,
        head_size: usize,
        spans: &[(usize, usize); R],
        weights: &[[f32; BLOCK]; R],
        sums: &mut [f32],
    );
}

/// Query rows over one block.
pub struct BlockAttention<'a, B> {
    pub head_size: usize,
    pub scale: f32,
    /// Scores become softcap·tanh(score / softcap). Zero: they stay.
    pub softcap: f32,
    pub block: B,
    /// The keys of the block that each row attends to: the first, and the one after the last.
    pub spans: &'a [(usize, usize)],
    /// [rows, [`record`]]; a row with an empty span gets an empty record.
    pub sums: &'a mut [f32],
}

impl<B: Block> BlockAttention<'_, B> {
    /// # Safety
    /// The block has keys and values up to the end of each span, and `set` is available.
    ///
    /// # Panics
    /// When a span ends behind [`BLOCK`], or the queries or `sums` are too short.
    pub unsafe fn run(self, set: B::Set) {
        let (rows, size) = (self.spans.len(), self.head_size);
        assert!(self.spans.iter().all(|(_, end)| *end <= BLOCK));
        assert!(self.block.has_queries(rows, size) && self.sums.len() >= rows * record(size));
        // SAFETY: the caller promises that `set` is available and that the keys and values exist.
        unsafe { B::attend(self, set) }
    }

    #[inline(always)]
    unsafe fn all<L>(mut self)
    where
        B: Products<L>,
    {
        let rows = self.spans.len();
        let mut row = 0;
        // SAFETY: the caller promises what `rows` asks for, and `row + R` is at most the number of rows.
        unsafe {
            while row + 4 <= rows {
                self.rows::<L, 4>(row);
                row += 4;
            }
            while row + 2 <= rows {
                self.rows::<L, 2>(row);
                row += 2;
            }
            if row < rows {
                self.rows::<L, 1>(row);
            }
        }
    }

    /// Rows `row..row + R`, with their spans from here on.
    #[inline(always)]
    unsafe fn rows<L, const R: usize>(&mut self, row: usize)
    where
        B: Products<L>,
    {
        let spans: [(usize, usize); R] = std::array::from_fn(|i| self.spans[row + i]);
        let size = record(self.head_size);
        self.sums[row * size..(row + R) * size].chunks_exact_mut(size).for_each(empty);
        let busy = |(start, end): &&(usize, usize)| start < end;
        let Some(from) = spans.iter().filter(busy).map(|span| span.0).min() else { return };
        let to = spans.iter().filter(busy).map(|span| span.1).max().unwrap_or(from);
        let mut scores = [[0.0_f32; BLOCK]; R];
        // SAFETY: `run` checked the sizes. Keys from `from` to `to` exist, because each belongs to a span or lies
        // between two spans. The caller promises a CPU with `L`.
        unsafe {
            self.block.score(self.head_size, row, (from, to), &mut scores);
            for ((own, scores), i) in spans.iter().zip(&mut scores).zip(row..) {
                if own.0 < own.1 {
                    let marks = self.weigh::<B::Floats>(scores, *own);
                    self.sums[(i + 1) * size - 2..(i + 1) * size].copy_from_slice(&marks);
                }
            }
            self.block.mix(self.head_size, &spans, &scores, &mut self.sums[row * size..(row + R) * size]);
        }
    }

    /// Turns the dot products of a span into weights e^(score − m). Returns the greatest score m and the sum of the
    /// weights.
    #[inline(always)]
    unsafe fn weigh<L: Lanes>(&self, scores: &mut [f32; BLOCK], (start, end): (usize, usize)) -> [f32; 2] {
        let (from, to) = (start - start % L::WIDTH, end.next_multiple_of(L::WIDTH));
        // SAFETY: BLOCK is a multiple of every vector's width, so `from..to` is whole vectors within `scores`. The
        // caller promises a CPU with `L`.
        unsafe {
            let place = scores.as_mut_ptr();
            for at in (from..to).step_by(L::WIDTH) {
                let mut score = L::mul(L::load_f32(place.add(at)), L::splat(self.scale));
                if self.softcap > 0.0 {
                    score = L::mul(
                        tanh::<L>(L::mul(score, L::splat(1.0 / self.softcap))),
                        L::splat(self.softcap),
                    );
                }
                L::store_f32(place.add(at), score);
            }
            scores[from..start].fill(f32::NEG_INFINITY);
            scores[end..to].fill(f32::NEG_INFINITY);
            let mut greatest = L::splat(f32::NEG_INFINITY);
            for at in (from..to).step_by(L::WIDTH) {
                greatest = L::max(greatest, L::load_f32(place.add(at)));
            }
            let highest = L::highest(greatest);
            for at in (from..to).step_by(L::WIDTH) {
                let weight = exponential::<L>(L::sub(L::load_f32(place.add(at)), L::splat(highest)));
                L::store_f32(place.add(at), weight);
            }
            // `exponential` does not reach zero.
            scores[from..start].fill(0.0);
            scores[end..to].fill(0.0);
            let mut sum = L::splat(0.0);
            for at in (from..to).step_by(L::WIDTH) {
                sum = L::add(sum, L::load_f32(place.add(at)));
            }
            [highest, L::sum(sum)]
        }
    }
}

/// tanh x = (1 − e^(−2|x|)) / (1 + e^(−2|x|)) with the sign of x. Near zero its error is that of a difference from 1.
#[inline(always)]
unsafe fn tanh<L: Lanes>(x: L::Vector) -> L::Vector {
    // SAFETY: this only calculates with vectors. The caller promises a CPU with `L`.
    unsafe {
        let zero = L::splat(0.0);
        let negative = L::sub(zero, x);
        let magnitude = L::max(x, negative);
        let small = exponential::<L>(L::mul(magnitude, L::splat(-2.0)));
        let ratio = L::div(L::sub(L::splat(1.0), small), L::add(L::splat(1.0), small));
        // ratio · (x / |x|), where |x| is not zero.
        L::mul(ratio, L::div(x, L::max(magnitude, L::splat(f32::MIN_POSITIVE))))
    }
}

/// Merges the record of a row's next block into the record of its blocks so far. An empty record changes nothing.
pub struct Merge<'a> {
    pub into: &'a mut [f32],
    pub block: &'a [f32],
}

impl Merge<'_> {
    /// # Safety
    /// `set` is available.
    pub unsafe fn run(self, set: InstructionSet) {
        assert_eq!(self.into.len(), self.block.len());
        if self.block[self.block.len() - 1] != 0.0 {
            // SAFETY: the caller promises that `set` is available; both records have the same length.
            unsafe { set.run(self) }
        }
    }
}

impl Vectorised for Merge<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { into, block } = self;
        let width = into.len() - 2;
        let (highest, total) = (into[width], into[width + 1]);
        let risen = if block[width] > highest { block[width] } else { highest };
        // SAFETY: `width` is whole vectors of every instruction set, as `stride` makes it. `factors` holds the widest
        // vector. The caller promises a CPU with `L`.
        unsafe {
            let factor = |of: f32| exponential::<L>(L::splat(of - risen));
            let (kept, added) = (factor(highest), factor(block[width]));
            let (old, new) = (into.as_mut_ptr(), block.as_ptr());
            for at in (0..width).step_by(L::WIDTH) {
                let sum = L::mul(L::load_f32(new.add(at)), added);
                L::store_f32(old.add(at), L::mul_add(L::load_f32(old.add(at)), kept, sum));
            }
            let total = L::mul_add(L::splat(total), kept, L::mul(L::splat(block[width + 1]), added));
            let mut totals = [0.0; MAX_WIDTH];
            L::store_f32(totals.as_mut_ptr(), total);
            (into[width], into[width + 1]) = (risen, totals[0]);
        }
    }
}

/// Writes a row's attention, the weighted sum divided by the sum of the weights.
pub struct Finish<'a, T> {
    pub record: &'a [f32],
    /// `head_size` elements.
    pub out: *mut T,
    pub head_size: usize,
}

impl<T: Element> Finish<'_, T> {
    /// # Safety
    /// `out` is valid for `head_size` elements, and `set` is available.
    pub unsafe fn run(self, set: InstructionSet) {
        assert_eq!(self.record.len(), record(self.head_size));
        // SAFETY: the caller's promise.
        unsafe { set.run(self) }
    }
}

impl<T: Element> Vectorised for Finish<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the record has whole vectors for the head, and `part` stops at the end of `out`. The caller promises
        // `out` and a CPU with `L`.
        unsafe {
            let share = L::splat(1.0 / self.record[self.record.len() - 1]);
            for at in (0..self.head_size).step_by(L::WIDTH) {
                let part = L::WIDTH.min(self.head_size - at);
                let value = L::mul(L::load_f32(self.record.as_ptr().add(at)), share);
                store_part::<L, T>(self.out.add(at), value, part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::reference;
    use crate::kernels::tests::{assert_close, exact, noise};

    struct Case<T> {
        width: usize,
        scale: f32,
        softcap: f32,
        queries: Vec<T>,
        keys: Vec<T>,
        values: Vec<T>,
        /// The positions that each row attends to.
        spans: Vec<(usize, usize)>,
    }

    impl<T: Element> Case<T> {
        /// Rows of a prompt's chunk behind `past` positions, two query heads each.
        fn new(width: usize, past: usize, tokens: usize, window: usize, seed: u32) -> Self {
            let count = past + tokens;
            let spans = (0..2 * tokens).map(|row| past + row / 2 + 1);
            Self {
                width,
                scale: 0.3,
                softcap: 0.0,
                queries: noise(2 * tokens * width, seed),
                keys: noise(count * width, seed + 1),
                values: noise(count * width, seed + 2),
                spans: spans.map(|end| (end.saturating_sub(window), end)).collect(),
            }
        }

        /// The kernel's result for the rows `from..to`, computed together.
        fn run(&self, set: InstructionSet, from: usize, to: usize) -> Vec<T> {
            let (width, rows) = (self.width, to - from);
            let mut queries = vec![0.0; rows * stride(width)];
            for (row, padded) in queries.chunks_exact_mut(stride(width)).enumerate() {
                let (query, out) =
                    (self.queries[(from + row) * width..][..width].as_ptr(), padded.as_mut_ptr());
                let read = ReadQuery { query, head_size: width, out, rounded_to: PhantomData::<T> };
                // SAFETY: both rows are this long. Callers take `set` from `available`.
                unsafe { read.run(set) };
            }
            let size = record(width);
            let (mut merged, mut sums) = (vec![0.0; rows * size], vec![f32::NAN; rows * size]);
            merged.chunks_exact_mut(size).for_each(empty);
            for start in (0..self.keys.len() / width).step_by(BLOCK) {
                let inside = |position: usize| position.clamp(start, start + BLOCK) - start;
                let spans: Vec<_> =
                    self.spans[from..to].iter().map(|span| (inside(span.0), inside(span.1))).collect();
                let block = BlockAttention {
                    head_size: width,
                    scale: self.scale,
                    softcap: self.softcap,
                    block: FloatBlock {
                        keys: self.keys[start * width..].as_ptr(),
                        values: self.values[start * width..].as_ptr(),
                        queries: &queries,
                    },
                    spans: &spans,
                    sums: &mut sums,
                };
                // SAFETY: the case has keys and values up to the end of each span. Callers take `set` from `available`.
                unsafe { block.run(set) };
                for (into, block) in merged.chunks_exact_mut(size).zip(sums.chunks_exact(size)) {
                    // SAFETY: as above.
                    unsafe { Merge { into, block }.run(set) };
                }
            }
            let mut out = vec![T::from_f32(f32::NAN); rows * width];
            for (record, out) in merged.chunks_exact(size).zip(out.chunks_exact_mut(width)) {
                // SAFETY: `out` is one head; `set` as above.
                unsafe { Finish { record, out: out.as_mut_ptr(), head_size: width }.run(set) };
            }
            out
        }

        fn wanted(&self, row: usize) -> Vec<f64> {
            let (from, to) = self.spans[row];
            let part = |rows: &[T]| exact(&rows[from * self.width..to * self.width]);
            let query = exact(&self.queries[row * self.width..(row + 1) * self.width]);
            let softcap = f64::from(self.softcap);
            let cap = |score: f64| if softcap > 0.0 { softcap * (score / softcap).tanh() } else { score };
            reference::grouped_attention(
                &query,
                &part(&self.keys),
                &part(&self.values),
                self.scale.into(),
                cap,
            )
        }

        fn check(&self) {
            for set in InstructionSet::available() {
                let got = self.run(set, 0, self.spans.len());
                for (row, got) in got.chunks(self.width).enumerate() {
                    // The error of a score grows with its number of products.
                    assert_close(
                        set,
                        got,
                        &self.wanted(row),
                        4.0 + f64::from(self.scale) * self.width as f64,
                    );
                }
            }
        }
    }

    proptest! {
        #![proptest_config(crate::kernels::tests::config())]

        #[test]
        fn every_type_matches_the_reference(
            width in 1..if cfg!(miri) { 20_usize } else { 150 },
            past in 0..if cfg!(miri) { 40_usize } else { 2 * BLOCK + 50 },
            tokens in 1..if cfg!(miri) { 3_usize } else { 12 },
            window in prop_oneof![Just(usize::MAX), 1..2 * BLOCK],
            seed in 0..1000_u32,
        ) {
            Case::<f32>::new(width, past, tokens, window, seed).check();
            Case::<f16>::new(width, past, tokens, window, seed).check();
            Case::<bf16>::new(width, past, tokens, window, seed).check();
        }

        #[test]
        fn a_row_is_the_same_in_every_tile(
            width in 1..if cfg!(miri) { 20_usize } else { 150 },
            past in 0..2 * BLOCK,
            window in prop_oneof![Just(usize::MAX), 1..2 * BLOCK],
            cut in 1..15_usize,
            seed in 0..1000_u32,
        ) {
            let case = Case::<f32>::new(width, past, 8, window, seed);
            for set in InstructionSet::available() {
                let together = case.run(set, 0, 16);
                assert_eq!([case.run(set, 0, cut), case.run(set, cut, 16)].concat(), together);
                for row in 0..16 {
                    assert_eq!(case.run(set, row, row + 1), together[row * width..(row + 1) * width]);
                }
            }
        }
    }

    #[test]
    fn queries_are_rounded_as_single_numbers_are() {
        fn check<C: Element>(width: usize) {
            let query: Vec<f32> = noise(width, 9);
            for set in InstructionSet::available() {
                let mut out = vec![0.0; stride(width)];
                let (query, out_start) = (query.as_ptr(), out.as_mut_ptr());
                let read =
                    ReadQuery { query, head_size: width, out: out_start, rounded_to: PhantomData::<C> };
                // SAFETY: the rows are this long, and `set` is available.
                unsafe { read.run(set) };
                let want = noise::<f32>(width, 9).into_iter().map(|number| C::from_f32(number).to_f32());
                assert!(want.chain([0.0; MAX_WIDTH]).zip(&out).all(|(want, got)| want == *got), "{set:?}");
            }
        }
        for width in [1, 8, 20, 64, 150] {
            check::<f32>(width);
            check::<f16>(width);
            check::<bf16>(width);
        }
    }

    #[test]
    fn a_softcap_bends_scores() {
        for softcap in [0.5, 5.0, 50.0] {
            Case::<f32> { softcap, scale: 3.0, ..Case::new(64, 200, 3, usize::MAX, 8) }.check();
        }
    }

    #[test]
    fn a_key_far_above_the_others_takes_all() {
        for set in InstructionSet::available() {
            for highest in [0, BLOCK - 1, BLOCK, BLOCK + 9] {
                let mut case = Case::<f32>::new(16, BLOCK + 10, 1, usize::MAX, 4);
                for (key, query) in case.keys[16 * highest..].iter_mut().zip(&case.queries[..16]) {
                    *key = 1e5 * query;
                }
                assert_eq!(case.run(set, 0, 1), case.values[16 * highest..16 * (highest + 1)]);
            }
        }
    }

    #[test]
    fn a_nan_reaches_the_rows_that_read_it_and_no_others() {
        for set in InstructionSet::available() {
            for at in [0, BLOCK - 1, BLOCK, BLOCK + 2] {
                for of_key in [true, false] {
                    let mut case = Case::<f32>::new(16, BLOCK, 4, usize::MAX, 5);
                    if of_key {
                        case.keys[16 * at] = f32::NAN
                    } else {
                        case.values[16 * at] = f32::NAN
                    }
                    for (row, got) in case.run(set, 0, 8).chunks(16).enumerate() {
                        let reads = at < case.spans[row].1;
                        assert_eq!(
                            got.iter().any(|number| number.is_nan()),
                            reads,
                            "{set:?}: row {row}, {at}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn vectors_are_summed_alike_at_every_place() {
        struct Sums([f32; MAX_WIDTH]);
        impl Vectorised for Sums {
            type Output = [f32; 4];
            #[inline(always)]
            unsafe fn run<L: Lanes>(self) -> [f32; 4] {
                // SAFETY: the array holds the widest vector. The caller promises a CPU with `L`.
                unsafe { L::sums([L::load_f32(self.0.as_ptr()); 4]) }
            }
        }
        for set in InstructionSet::available() {
            let lanes: [f32; MAX_WIDTH] = noise(MAX_WIDTH, 3).try_into().unwrap();
            // SAFETY: `set` is available.
            let sums = unsafe { set.run(Sums(lanes)) };
            assert!(sums.iter().all(|sum| sum.to_bits() == sums[0].to_bits()));
        }
    }
}
