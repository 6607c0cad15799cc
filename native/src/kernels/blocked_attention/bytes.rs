//! Blocks of keys and values in int8, as [`ByteRows`](crate::kernels::byte_rows::ByteRows) lays them out. Queries are
//! rounded to 8 bits row by row, and the weights of a block, times the values' scales, to 14 bits. So both kinds of
//! sums are exact integers, in any order.

#![allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.

use super::{BLOCK, Block, BlockAttention, Products, record};
use crate::kernels::InstructionSet;
use crate::kernels::byte_rows::{GROUP, LEAST, OFFSET, Round, width};
use crate::kernels::dots::Dots;
use crate::kernels::element::Element;
use crate::kernels::instruction_set::{DotSet, DotWork};
use crate::kernels::lanes::{Lanes, MAX_WIDTH};

/// Bytes that are multiplied and added in each lane.
const BYTES: usize = 4;
/// A weight's code is a high and a low number of so many bits. With these, no instruction saturates.
const WEIGHT_BITS: usize = 7;
const GREATEST_WEIGHT: f32 = ((1 << (2 * WEIGHT_BITS)) - 1) as f32;

/// Queries rounded to int8.
#[derive(Default)]
pub struct ByteQueries {
    /// [rows, width]
    codes: Vec<i8>,
    /// Each row's scale, and the sum of its codes.
    marks: Vec<(f32, i32)>,
}

impl ByteQueries {
    pub const fn new() -> Self {
        Self { codes: Vec::new(), marks: Vec::new() }
    }

    /// Replaces all rows.
    ///
    /// # Safety
    /// Each of `queries` is valid for `head_size` elements, and `set` is available.
    pub unsafe fn read<T: Element>(
        &mut self,
        queries: impl ExactSizeIterator<Item = *const T>,
        head_size: usize,
        set: InstructionSet,
    ) {
        let width = width(head_size);
        self.codes.clear();
        self.codes.resize(queries.len() * width, 0);
        self.marks.clear();
        for (row, codes) in queries.zip(self.codes.chunks_exact_mut(width)) {
            // SAFETY: the caller promises the query, and the codes are at least as long.
            let scale = unsafe { Round { row, codes: codes.as_mut_ptr(), length: head_size }.run(set) };
            self.marks.push((scale, codes.iter().map(|code| i32::from(*code)).sum()));
        }
    }
}

/// Codes of keys and values, with the queries that read them.
#[derive(Clone, Copy)]
pub struct ByteBlock<'a> {
    /// The codes of the block, whole groups of positions.
    pub keys: *const u8,
    pub values: *const u8,
    /// Scales of keys and values, as many.
    pub scales: [*const f32; 2],
    pub queries: &'a ByteQueries,
}

impl Block for ByteBlock<'_> {
    type Set = DotSet;

    fn has_queries(&self, rows: usize, head_size: usize) -> bool {
        let ByteQueries { codes, marks } = self.queries;
        codes.len() >= rows * width(head_size) && marks.len() >= rows
    }

    unsafe fn attend(attention: BlockAttention<Self>, set: DotSet) {
        // SAFETY: the caller's promise.
        unsafe { set.run(attention) }
    }
}

impl DotWork for BlockAttention<'_, ByteBlock<'_>> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Dots>(self) {
        // SAFETY: the caller's promise.
        unsafe { self.all::<L>() }
    }
}

impl<L: Dots> Products<L> for ByteBlock<'_> {
    type Floats = L::Floats;

    #[inline(always)]
    unsafe fn score<const R: usize>(
        &self,
        head_size: usize,
        row: usize,
        (from, to): (usize, usize),
        scores: &mut [[f32; BLOCK]; R],
    ) {
        let width = width(head_size);
        let lanes = L::Floats::WIDTH;
        let marks = &self.queries.marks[row..row + R];
        let queries = self.queries.codes[row * width..(row + R) * width].as_ptr();
        for at in (from - from % GROUP..to.next_multiple_of(GROUP)).step_by(lanes) {
            // SAFETY: `at` is within a group of the block, so are the vectors of codes behind it, and its scales. Each
            // query has `width` codes. The caller promises a CPU with `L`.
            unsafe {
                let keys = self.keys.add((at - at % GROUP) * width + at % GROUP * BYTES);
                if row == 0 {
                    self.prefetch_values::<L::Floats>(at * width, lanes * width);
                }
                let mut sums = [L::spread(0); R];
                for r in 0..R {
                    // Without what the keys' offset adds.
                    sums[r] = L::spread((i32::from(OFFSET) + L::BIAS) * marks[r].1);
                }
                for four in 0..width / BYTES {
                    let key = L::load(keys.add(four * GROUP * BYTES));
                    for r in 0..R {
                        let query = queries.add(r * width + four * BYTES).cast::<i32>().read_unaligned();
                        sums[r] = L::dot::<8>(sums[r], key, L::spread(query));
                    }
                }
                let scales = L::Floats::load_f32(self.scales[0].add(at));
                for r in 0..R {
                    // Integers up to 127·127·1024, which f32 has.
                    let score = L::Floats::mul(L::floats(sums[r]), L::Floats::splat(marks[r].0));
                    L::Floats::store_f32(scores[r].as_mut_ptr().add(at), L::Floats::mul(score, scales));
                }
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
        let mut codes = [[[0_u8; BLOCK]; 2]; R];
        let mut scales = [0.0; R];
        let (mut from, mut to) = (BLOCK, 0);
        for (r, span) in spans.iter().enumerate().filter(|(_, (start, end))| start < end) {
            (from, to) = (from.min(span.0), to.max(span.1));
            // SAFETY: the caller promises the values' scales and a CPU with `L`.
            scales[r] = unsafe { self.round_weights::<L::Floats>(&weights[r], *span, &mut codes[r]) };
        }
        let keys = (from - from % BYTES, to);
        let (width, lanes, mut column) = (width(head_size), L::Floats::WIDTH, 0);
        while column < width {
            // Four rows of two sums each, for two vectors: as much as 32 registers hold. Others have half of them.
            let has_room = lanes == MAX_WIDTH && column + 2 * lanes <= width;
            // SAFETY: the caller promises values and records of the width, and a CPU with `L`.
            unsafe {
                let place = (head_size, column);
                if has_room {
                    self.add_columns::<L, R, 2>(place, keys, &codes, &scales, sums);
                    column += 2 * lanes;
                } else {
                    self.add_columns::<L, R, 1>(place, keys, &codes, &scales, sums);
                    column += lanes;
                }
            }
        }
    }
}

impl ByteBlock<'_> {
    /// Values are read column by column, which no processor foresees.
    #[inline(always)]
    unsafe fn prefetch_values<L: Lanes>(&self, from: usize, count: usize) {
        for line in (0..count).step_by(64) {
            // SAFETY: a prefetch may have any address. The caller promises a CPU with `L`.
            unsafe { L::prefetch(self.values.wrapping_add(from + line)) };
        }
    }

    /// Rounds the weights of a span, times the scales of their values, to high and low codes; other codes stay. Returns
    /// their scale: NaN if a weight or a scale is not finite.
    #[inline(always)]
    unsafe fn round_weights<L: Lanes>(
        &self,
        weights: &[f32; BLOCK],
        (start, end): (usize, usize),
        [high, low]: &mut [[u8; BLOCK]; 2],
    ) -> f32 {
        /// 2^23 · 1.5. Adding it rounds a smaller number, in the lowest bits.
        const ROUNDS: f32 = 12_582_912.0;
        let (from, to) = (start - start % L::WIDTH, end.next_multiple_of(L::WIDTH));
        let mut scaled = [0.0_f32; BLOCK];
        // SAFETY: BLOCK is a multiple of every vector's width, so these are whole vectors within the arrays, and scales
        // come in whole groups. The caller promises a CPU with `L`.
        unsafe {
            for at in (from..to).step_by(L::WIDTH) {
                let scale = L::load_f32(self.scales[1].add(at));
                L::store_f32(
                    scaled.as_mut_ptr().add(at),
                    L::mul(L::load_f32(weights.as_ptr().add(at)), scale),
                );
            }
            scaled[from..start].fill(0.0);
            scaled[end..to].fill(0.0);
            let (mut greatest, mut poison) = (L::splat(0.0), L::splat(0.0));
            for at in (from..to).step_by(L::WIDTH) {
                let weight = L::load_f32(scaled.as_ptr().add(at));
                greatest = L::max(weight, greatest);
                // 0 if the weight is finite, otherwise NaN, which `max` may lose.
                poison = L::mul_add(weight, L::splat(0.0), poison);
            }
            let greatest = L::highest(greatest) + L::sum(poison);
            let inverse = if greatest < LEAST { 0.0 } else { GREATEST_WEIGHT / greatest };
            for i in from..to {
                let code = (scaled[i] * inverse + ROUNDS).to_bits();
                high[i] = (code >> WEIGHT_BITS) as u8 & 0x7f;
                low[i] = code as u8 & 0x7f;
            }
            greatest / GREATEST_WEIGHT
        }
    }

    /// Adds the weighted values of the keys `from..to` to `C` vectors of `R` records, from `column` on.
    #[inline(always)]
    unsafe fn add_columns<L: Dots, const R: usize, const C: usize>(
        &self,
        (head_size, column): (usize, usize),
        (from, to): (usize, usize),
        codes: &[[[u8; BLOCK]; 2]; R],
        scales: &[f32; R],
        sums: &mut [f32],
    ) {
        let (width, size, lanes) = (width(head_size), record(head_size), L::Floats::WIDTH);
        // SAFETY: values come in whole groups, so four positions exist from each multiple of four on. The caller promises
        // `R` records, and a CPU with `L`.
        unsafe {
            let mut own = [[[L::spread(0); C]; 2]; R];
            for four in (from..to).step_by(BYTES) {
                let mut value = [L::spread(0); C];
                for c in 0..C {
                    value[c] = L::load(self.values.add(four * width + (column + c * lanes) * BYTES));
                }
                for r in 0..R {
                    for half in 0..2 {
                        let weights = codes[r][half].as_ptr().add(four).cast::<i32>().read_unaligned();
                        let weights = L::spread(weights);
                        for c in 0..C {
                            own[r][half][c] = L::dot::<WEIGHT_BITS>(own[r][half][c], weights, value[c]);
                        }
                    }
                }
            }
            for r in 0..R {
                let scale = L::Floats::splat(scales[r]);
                for c in 0..C {
                    let [high, low] = [L::floats(own[r][0][c]), L::floats(own[r][1][c])];
                    let sum = L::Floats::mul_add(high, L::Floats::splat((1 << WEIGHT_BITS) as f32), low);
                    let place = sums.as_mut_ptr().add(r * size + column + c * lanes);
                    L::Floats::store_f32(place, L::Floats::mul(sum, scale));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BLOCK, Finish, Merge, empty, record};
    use super::*;
    use crate::kernels::byte_rows::ByteRows;
    use crate::kernels::reference;
    use crate::kernels::tests::{assert_close, noise};

    /// Rows of a prompt's chunk, two query heads each, and the keys and values up to the last of them.
    struct Case {
        width: usize,
        softcap: f32,
        queries: Vec<f32>,
        keys: Rounded,
        values: Rounded,
        /// The positions that each row attends to.
        spans: Vec<(usize, usize)>,
    }

    /// Codes row by row, and their scales.
    struct Rounded {
        codes: Vec<i8>,
        scales: Vec<f32>,
    }

    const SCALE: f32 = 0.3;

    impl Rounded {
        fn of(rows: &[f32], width: usize) -> Self {
            let mut codes = vec![0; rows.len()];
            let scale = |(row, codes): (&[f32], &mut [i8])| {
                let round = Round { row: row.as_ptr(), codes: codes.as_mut_ptr(), length: width };
                // SAFETY: both rows have `width` numbers, and every CPU has the portable instructions.
                unsafe { round.run(InstructionSet::Portable) }
            };
            let scales = rows.chunks(width).zip(codes.chunks_mut(width)).map(scale).collect();
            Self { codes, scales }
        }

        fn exact(&self, width: usize, (from, to): (usize, usize)) -> Vec<f64> {
            let rows = self.codes[from * width..to * width].chunks(width).zip(&self.scales[from..to]);
            rows.flat_map(|(row, scale)| row.iter().map(|code| f64::from(*code) * f64::from(*scale)))
                .collect()
        }

        /// As a cache holds it: what is behind the rows must not matter.
        fn stored(&self, width: usize, is_key: bool) -> (Vec<u8>, ByteRows) {
            let capacity = self.scales.len().next_multiple_of(GROUP);
            let rows = ByteRows { head_size: width, capacity };
            let mut head = vec![0xff; rows.scale(capacity)];
            for (position, (codes, scale)) in self.codes.chunks(width).zip(&self.scales).enumerate() {
                // The row with these codes and the scale 1.
                let mut row: Vec<f32> = codes.iter().map(|code| f32::from(*code)).collect();
                let greatest = row.iter().copied().map(f32::abs).fold(0.0, f32::max);
                assert!(greatest == 127.0 || greatest == 0.0);
                row.resize(width, 0.0);
                let (start, row) = (head.as_mut_ptr(), row.as_ptr());
                // SAFETY: the head has these rows, and the row its size.
                unsafe {
                    if is_key {
                        rows.write_key(start, position, row)
                    } else {
                        rows.write_value(start, position, row)
                    }
                    start.add(rows.scale(position)).cast::<f32>().write_unaligned(*scale);
                }
            }
            (head, rows)
        }
    }

    impl Case {
        fn new(width: usize, past: usize, tokens: usize, window: usize, seed: u32) -> Self {
            let count = past + tokens;
            let spans = (0..2 * tokens).map(|row| past + row / 2 + 1);
            // Rows of very different magnitudes.
            let rows = |seed: u32| {
                let mut rows: Vec<f32> = noise(count * width, seed);
                for (row, factor) in rows.chunks_mut(width).zip(noise::<f32>(count, seed + 1)) {
                    row.iter_mut().for_each(|number| *number *= 4.0 * factor);
                }
                Rounded::of(&rows, width)
            };
            Self {
                width,
                softcap: 0.0,
                queries: noise(2 * tokens * width, seed),
                keys: rows(seed + 1),
                values: rows(seed + 3),
                spans: spans.map(|end| (end.saturating_sub(window), end)).collect(),
            }
        }

        /// The kernel's result for the rows `from..to`, computed together.
        fn run(&self, (set, lanes): (DotSet, InstructionSet), from: usize, to: usize) -> Vec<f32> {
            let (width, rows) = (self.width, to - from);
            let mut queries = ByteQueries::new();
            let own = self.queries[from * width..to * width].chunks(width);
            // SAFETY: each chunk is a query. Callers take the sets from `available`.
            unsafe { queries.read(own.map(<[f32]>::as_ptr), width, lanes) };
            let ((keys, rows_of), (values, _)) =
                (self.keys.stored(width, true), self.values.stored(width, false));
            let size = record(width);
            let (mut merged, mut sums) = (vec![0.0; rows * size], vec![f32::NAN; rows * size]);
            merged.chunks_exact_mut(size).for_each(empty);
            for start in (0..self.keys.scales.len()).step_by(BLOCK) {
                let inside = |position: usize| position.clamp(start, start + BLOCK) - start;
                let spans: Vec<_> =
                    self.spans[from..to].iter().map(|span| (inside(span.0), inside(span.1))).collect();
                let block = BlockAttention {
                    head_size: width,
                    scale: SCALE,
                    softcap: self.softcap,
                    block: ByteBlock {
                        keys: keys[rows_of.codes(start)..].as_ptr(),
                        values: values[rows_of.codes(start)..].as_ptr(),
                        scales: [&keys, &values].map(|own| own[rows_of.scale(start)..].as_ptr().cast()),
                        queries: &queries,
                    },
                    spans: &spans,
                    sums: &mut sums,
                };
                // SAFETY: the case has keys and values up to the end of each span. Callers take `set` from `available`.
                unsafe { block.run(set) };
                for (into, block) in merged.chunks_exact_mut(size).zip(sums.chunks_exact(size)) {
                    // SAFETY: as above.
                    unsafe { Merge { into, block }.run(lanes) };
                }
            }
            let mut out = vec![f32::NAN; rows * width];
            for (record, out) in merged.chunks_exact(size).zip(out.chunks_exact_mut(width)) {
                // SAFETY: `out` is one head; `lanes` as above.
                unsafe { Finish { record, out: out.as_mut_ptr(), head_size: width }.run(lanes) };
            }
            out
        }

        fn wanted(&self, row: usize) -> Vec<f64> {
            let (width, span) = (self.width, self.spans[row]);
            let query =
                Rounded::of(&self.queries[row * width..(row + 1) * width], width).exact(width, (0, 1));
            let softcap = f64::from(self.softcap);
            let cap = |score: f64| if softcap > 0.0 { softcap * (score / softcap).tanh() } else { score };
            let (keys, values) = (self.keys.exact(width, span), self.values.exact(width, span));
            reference::grouped_attention(&query, &keys, &values, SCALE.into(), cap)
        }

        fn check(&self) {
            for sets in sets() {
                for (row, got) in self.run(sets, 0, self.spans.len()).chunks(self.width).enumerate() {
                    // Values are up to 4. The rounding of 178 weights to 14 bits may cost up to 0.02, and costs a tenth.
                    assert_close(sets.1, got, &self.wanted(row), 5000.0);
                }
            }
        }
    }

    /// Every set for blocks, each with its own for the rest.
    fn sets() -> impl Iterator<Item = (DotSet, InstructionSet)> {
        DotSet::available().map(|set| (set, set.floats()))
    }

    proptest! {
        #![proptest_config(crate::kernels::tests::config())]

        #[test]
        fn matches_the_reference(
            width in 1..if cfg!(miri) { 20_usize } else { 300 },
            past in 0..if cfg!(miri) { 40_usize } else { 2 * BLOCK + 50 },
            tokens in 1..if cfg!(miri) { 3_usize } else { 12 },
            window in prop_oneof![Just(usize::MAX), 1..2 * BLOCK],
            softcap in prop_oneof![Just(0.0_f32), 0.5..50.0_f32],
            seed in 0..1000_u32,
        ) {
            Case { softcap, ..Case::new(width, past, tokens, window, seed) }.check();
        }

        #[test]
        fn a_row_is_the_same_in_every_tile(
            width in 1..if cfg!(miri) { 20_usize } else { 150 },
            past in 0..2 * BLOCK,
            window in prop_oneof![Just(usize::MAX), 1..2 * BLOCK],
            cut in 1..15_usize,
            seed in 0..1000_u32,
        ) {
            let case = Case::new(width, past, 8, window, seed);
            for set in sets() {
                let together = case.run(set, 0, 16);
                assert_eq!([case.run(set, 0, cut), case.run(set, cut, 16)].concat(), together);
                for row in 0..16 {
                    assert_eq!(case.run(set, row, row + 1), together[row * width..(row + 1) * width]);
                }
            }
        }
    }

    #[test]
    fn dot_products_of_the_greatest_codes_are_exact() {
        for width in [64, 256, 1024] {
            for set in sets() {
                let mut case = Case::new(width, 1, 1, usize::MAX, 2);
                case.queries.fill(1.0);
                case.keys.codes[..width].fill(127);
                case.keys.codes[width..].fill(-127);
                case.keys.scales[..2].fill(1e-5);
                // Both weights at this difference of scores, e^(−2·127·127·width·0.3·10⁻⁵/127).
                let other = (-2.0 * 127.0 * width as f64 * f64::from(SCALE) * 1e-5).exp();
                case.values = Rounded::of(&[vec![1.0; width], vec![0.0; width]].concat(), width);
                let want = 1.0 / (1.0 + other);
                for got in case.run(set, 0, 1) {
                    assert!((f64::from(got) - want).abs() < 1e-6, "{set:?}: {got} instead of {want}");
                }
            }
        }
    }

    #[test]
    fn a_nan_reaches_the_rows_that_read_it_and_no_others() {
        for set in sets() {
            for at in [0, BLOCK - 1, BLOCK, BLOCK + 2] {
                for of_key in [true, false] {
                    let mut case = Case::new(16, BLOCK, 4, usize::MAX, 5);
                    let rounded = if of_key { &mut case.keys } else { &mut case.values };
                    rounded.scales[at] = f32::NAN;
                    for (row, got) in case.run(set, 0, 8).chunks(16).enumerate() {
                        let reads = at < case.spans[row].1;
                        assert_eq!(got.iter().any(|number| number.is_nan()), reads, "{set:?}: {row}, {at}");
                    }
                }
            }
            let mut case = Case::new(16, BLOCK, 4, usize::MAX, 5);
            case.queries[3 * 16] = f32::INFINITY;
            for (row, got) in case.run(set, 0, 8).chunks(16).enumerate() {
                assert_eq!(got.iter().any(|number| number.is_nan()), row == 3, "{set:?}: {row}");
            }
        }
    }
}
