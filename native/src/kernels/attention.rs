//! Attention of one query over the keys and values before it: Σ softmax(scale·q·kⱼ + biasⱼ)·vⱼ, in f32.
//!
//! A decode step reads each key and value once, so memory sets the pace. The processor fetches consecutive rows ahead
//! by itself. This code prefetches what the processor cannot foresee: the pages of the next block, in the same head or,
//! far away in the cache, in the next head. Blocks are combined with a running maximum (online softmax: Milakov and
//! Gimelshein, arXiv 1805.02867).

use std::mem::MaybeUninit;

use super::element::Element;
use super::exponential::exponential;
use super::instruction_set::{InstructionSet, Vectorised};
use super::lanes::{Lanes, MAX_WIDTH};
use super::row::{load_part, store_part};

/// Maximum head size. A head's output is summed on the stack.
pub const MAX_HEAD_SIZE: usize = 1024;
/// Keys that are scored before their values are read. Many, because each switch between the two delays reading.
const BLOCK: usize = 256;
/// Parallel sums, so that additions do not wait for one another.
const CHAINS: usize = 4;
/// One cache line of each page is prefetched: requesting every line is slower than the processor's own prefetching.
const PAGE: usize = 4096;

/// Keys and values of one head in a cache, `count` rows of each.
#[derive(Clone, Copy)]
pub struct Cached<T> {
    pub keys: *const T,
    pub values: *const T,
    pub count: usize,
}

/// One query of one head.
#[derive(Clone, Copy)]
pub struct Attention<T> {
    pub query: *const T,
    pub cached: Cached<T>,
    /// `cached.count` numbers; null: no bias.
    pub bias: *const T,
    pub out: *mut T,
    pub head_size: usize,
    pub scale: f32,
    /// What is read after this. It is only prefetched here, never read.
    pub next: Cached<T>,
}

impl<T: Element> Attention<T> {
    /// # Safety
    /// `query`, `out` and the rows of `cached` have `head_size` elements, at most [`MAX_HEAD_SIZE`]; `cached.count` is
    /// not zero; `set` is available.
    pub unsafe fn run(self, set: InstructionSet) {
        // SAFETY: the caller promises that `set` is available and that all rows have `head_size` elements.
        unsafe { set.run(self) }
    }

    /// The block of rows that is read after the one at `from`.
    fn after(&self, from: usize) -> (Cached<T>, usize) {
        let from = from + BLOCK;
        if from < self.cached.count { (self.cached, from) } else { (self.next, 0) }
    }

    /// Writes scale·q·kⱼ + biasⱼ to `scores`, for the `scores.len()` keys from `from` on.
    #[inline(always)]
    unsafe fn score<L: Lanes>(&self, from: usize, scores: &mut [f32], ahead: &mut Ahead) {
        for (j, score) in scores.iter_mut().enumerate() {
            // SAFETY: `scores` covers at most the keys from `from` to `cached.count`, so key and bias `from + j` exist.
            // `run` promises keys and query of `head_size` elements and a CPU with `L`. Tensors are aligned for `read`.
            unsafe {
                ahead.fetch::<L>();
                let key = self.cached.keys.add((from + j) * self.head_size);
                let bias = if self.bias.is_null() { 0.0 } else { self.bias.add(from + j).read().to_f32() };
                *score = dot::<L, T>(self.query, key, self.head_size) * self.scale + bias;
            }
        }
    }
}

impl<T: Element> Vectorised for Attention<T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (width, count) = (self.head_size, self.cached.count);
        let mut mixed = [MaybeUninit::<f32>::uninit(); MAX_HEAD_SIZE + MAX_WIDTH];
        let mixed = mixed.as_mut_ptr().cast::<f32>();
        // SAFETY: the buffer has room for the widest head and a vector.
        unsafe { mixed.write_bytes(0, width + L::WIDTH) };
        let (mut highest, mut total) = (f32::NEG_INFINITY, 0.0);
        for from in (0..count).step_by(BLOCK) {
            let mut scores = [f32::NEG_INFINITY; BLOCK];
            let rows = BLOCK.min(count - from);
            let (after, first) = self.after(from);
            // SAFETY: the cache has `rows` rows of `width` elements from `from` on. The last vector in `mixed` ends in
            // the part zeroed above. `weigh` gets whole vectors. The caller promises a CPU with `L`.
            unsafe {
                let mut ahead = Ahead::of(after.keys, first, after.count, width, rows);
                self.score::<L>(from, &mut scores[..rows], &mut ahead);
                let (kept, weight) = weigh::<L>(&mut scores[..rows.next_multiple_of(L::WIDTH)], &mut highest);
                total = total * kept + weight;
                let mut ahead = Ahead::of(after.values, first, after.count, width, rows);
                let values = self.cached.values.add(from * width);
                let mut column = 0;
                while column < width {
                    let columns = (width - column).min(CHAINS * L::WIDTH);
                    let sums = mixed.add(column);
                    add::<L, T>(
                        &scores[..rows],
                        values.add(column),
                        width,
                        (sums, columns),
                        kept,
                        &mut ahead,
                    );
                    column += columns;
                }
            }
        }
        // SAFETY: `mixed` has numbers up to `width + L::WIDTH`, so its last whole vector is readable. `out` has `width`
        // elements, and `part` stops there. The caller promises a CPU with `L`.
        unsafe {
            let share = L::splat(1.0 / total);
            for column in (0..width).step_by(L::WIDTH) {
                let part = L::WIDTH.min(width - column);
                let value = L::mul(L::load_f32(mixed.add(column)), share);
                store_part::<L, T>(self.out.add(column), value, part);
            }
        }
    }
}

/// Prefetches rows: a share of them with each row that the computation uses.
struct Ahead {
    next: *const u8,
    end: *const u8,
    /// Bytes to prefetch with each row that the computation uses.
    share: usize,
}

impl Ahead {
    /// Prefetches up to one block of rows from `first` on, while `rows` other rows are read.
    fn of<T>(start: *const T, first: usize, count: usize, width: usize, rows: usize) -> Self {
        let fetched = (count - first).min(BLOCK) * width * size_of::<T>();
        let next = start.wrapping_add(first * width).cast::<u8>();
        Self { next, end: next.wrapping_add(fetched), share: fetched.div_ceil(rows) }
    }

    /// Prefetches the share of one more row.
    #[inline(always)]
    unsafe fn fetch<L: Lanes>(&mut self) {
        let until = self.next.wrapping_add(self.share).min(self.end);
        while self.next < until {
            // SAFETY: a prefetch never faults, so `next` may be any address. The caller promises a CPU with `L`.
            unsafe { L::prefetch(self.next) };
            self.next = self.next.wrapping_add(PAGE);
        }
    }
}

#[inline(always)]
unsafe fn dot<L: Lanes, T: Element>(a: *const T, b: *const T, length: usize) -> f32 {
    // SAFETY: the caller promises `length` elements in both rows and a CPU with `L`. Whole vectors are read only while
    // they end within `length`; `load_part` reads just the rest.
    unsafe {
        let mut sums = [L::splat(0.0); CHAINS];
        let mut at = 0;
        while at + CHAINS * L::WIDTH <= length {
            for (chain, sum) in sums.iter_mut().enumerate() {
                let place = at + chain * L::WIDTH;
                *sum = L::mul_add(T::load::<L>(a.add(place)), T::load::<L>(b.add(place)), *sum);
            }
            at += CHAINS * L::WIDTH;
        }
        while at < length {
            let part = L::WIDTH.min(length - at);
            let (a, b) = (load_part::<L, T>(a.add(at), part, 0.0), load_part::<L, T>(b.add(at), part, 0.0));
            sums[0] = L::mul_add(a, b, sums[0]);
            at += part;
        }
        L::sum(L::add(L::add(sums[0], sums[1]), L::add(sums[2], sums[3])))
    }
}

/// Raises `highest` to the highest score and replaces the scores (whole vectors) by e^(score − highest). Returns the
/// factor for earlier sums and the sum of the new weights.
#[inline(always)]
unsafe fn weigh<L: Lanes>(scores: &mut [f32], highest: &mut f32) -> (f32, f32) {
    // SAFETY: `scores` is whole vectors, as `run` cuts it, so each vector ends within it. `kept` holds the widest
    // vector. The caller promises a CPU with `L`.
    unsafe {
        let start = scores.as_mut_ptr();
        let mut greatest = L::splat(*highest);
        for at in (0..scores.len()).step_by(L::WIDTH) {
            greatest = L::max(greatest, L::load_f32(start.add(at)));
        }
        let risen = L::highest(greatest);
        let mut kept = [0.0; MAX_WIDTH];
        L::store_f32(kept.as_mut_ptr(), exponential::<L>(L::splat(*highest - risen)));
        let mut sum = L::splat(0.0);
        for at in (0..scores.len()).step_by(L::WIDTH) {
            let weight = exponential::<L>(L::sub(L::load_f32(start.add(at)), L::splat(risen)));
            L::store_f32(start.add(at), weight);
            sum = L::add(sum, weight);
        }
        *highest = risen;
        (kept[0], L::sum(sum))
    }
}

/// sums · kept + Σ weightⱼ·valueⱼ over `columns` columns of rows that are `stride` apart.
#[inline(always)]
unsafe fn add<L: Lanes, T: Element>(
    weights: &[f32],
    values: *const T,
    stride: usize,
    (sums, columns): (*mut f32, usize),
    kept: f32,
    ahead: &mut Ahead,
) {
    // SAFETY: `run` gives a row of `columns` elements for each weight, `stride` apart, and `sums` has room for whole
    // vectors over `columns`. A row is read in whole vectors only if they end at `columns`. The CPU supports `L`.
    unsafe {
        let mut own = [L::splat(0.0); CHAINS];
        for (chain, sum) in own.iter_mut().enumerate() {
            if chain * L::WIDTH < columns {
                *sum = L::mul(L::load_f32(sums.add(chain * L::WIDTH)), L::splat(kept));
            }
        }
        for (j, weight) in weights.iter().enumerate() {
            ahead.fetch::<L>();
            let row = values.add(j * stride);
            if columns == CHAINS * L::WIDTH {
                for (chain, sum) in own.iter_mut().enumerate() {
                    *sum = L::mul_add(L::splat(*weight), T::load::<L>(row.add(chain * L::WIDTH)), *sum);
                }
            } else {
                for (chain, at) in (0..columns).step_by(L::WIDTH).enumerate() {
                    let value = load_part::<L, T>(row.add(at), L::WIDTH.min(columns - at), 0.0);
                    own[chain] = L::mul_add(L::splat(*weight), value, own[chain]);
                }
            }
        }
        for (chain, sum) in own.into_iter().enumerate() {
            if chain * L::WIDTH < columns {
                L::store_f32(sums.add(chain * L::WIDTH), sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::reference;
    use crate::kernels::tests::{assert_close, exact, noise};

    struct Case<T> {
        query: Vec<T>,
        keys: Vec<T>,
        values: Vec<T>,
        bias: Vec<T>,
        scale: f32,
    }

    impl<T: Element> Case<T> {
        fn new(width: usize, count: usize, scale: f32, seed: u32) -> Self {
            let rows = |seed| noise(width * count, seed);
            let (query, bias) = (noise(width, seed), noise(count, seed + 1));
            Self { query, keys: rows(seed + 2), values: rows(seed + 3), bias, scale }
        }

        /// The kernel's result, while it prefetches `next`.
        fn run(&self, set: InstructionSet, next: Cached<T>) -> Vec<T> {
            let mut out = vec![T::from_f32(f32::NAN); self.query.len()];
            let attention = Attention {
                query: self.query.as_ptr(),
                cached: Cached {
                    keys: self.keys.as_ptr(),
                    values: self.values.as_ptr(),
                    count: self.bias.len(),
                },
                bias: self.bias.as_ptr(),
                out: out.as_mut_ptr(),
                head_size: self.query.len(),
                scale: self.scale,
                next,
            };
            // SAFETY: `Case::new` makes `bias.len()` (not 0) keys and values as wide as the query, and `out` is as
            // wide. Callers take `set` from `available`.
            unsafe { attention.run(set) };
            out
        }
    }

    const NOTHING: *const f32 = ptr::null();

    fn nothing<T>() -> Cached<T> {
        Cached { keys: NOTHING.cast(), values: NOTHING.cast(), count: 0 }
    }

    fn check<T: Element>(width: usize, count: usize, scale: f32, seed: u32) {
        let case = Case::<T>::new(width, count, scale, seed);
        let [query, keys, values, bias] =
            [&case.query, &case.keys, &case.values, &case.bias].map(|row| exact(row));
        let want = reference::attention(&query, &keys, &values, &bias, scale.into());
        for set in InstructionSet::available() {
            // The error of a score grows with its number of products.
            assert_close(set, &case.run(set, nothing()), &want, 4.0 + scale.abs() as f64 * width as f64);
        }
    }

    proptest! {
        #![proptest_config(crate::kernels::tests::config())]

        #[test]
        fn every_type_matches_the_reference(
            width in 1..if cfg!(miri) { 20_usize } else { 150 },
            count in 1..if cfg!(miri) { 70_usize } else { 2 * BLOCK + 50 },
            scale in 0.05_f32..1.5,
            seed in 0..1000_u32,
        ) {
            check::<f32>(width, count, scale, seed);
            check::<f16>(width, count, scale, seed);
            check::<bf16>(width, count, scale, seed);
        }
    }

    #[test]
    fn the_widest_head_fits() {
        check::<f32>(MAX_HEAD_SIZE, 3, 0.1, 7);
    }

    #[test]
    fn what_is_read_next_changes_no_bit() {
        let (case, other) = (Case::<f32>::new(64, BLOCK + 1, 1.0, 1), Case::<f32>::new(64, 40, 1.0, 2));
        let next = Cached { keys: other.keys.as_ptr(), values: other.values.as_ptr(), count: 40 };
        for set in InstructionSet::available() {
            assert_eq!(case.run(set, next), case.run(set, nothing()));
        }
    }

    #[test]
    fn without_a_bias_it_is_zero() {
        for set in InstructionSet::available() {
            let mut case = Case::<f32>::new(32, 70, 0.5, 3);
            case.bias.fill(0.0);
            let want = case.run(set, nothing());
            let mut out = case.query.clone();
            let attention = Attention {
                query: out.as_ptr(),
                cached: Cached { keys: case.keys.as_ptr(), values: case.values.as_ptr(), count: 70 },
                bias: ptr::null(),
                out: out.as_mut_ptr(),
                head_size: 32,
                scale: 0.5,
                next: nothing(),
            };
            // The output overwrites the query.
            // SAFETY: the case has 70 keys and values of 32 numbers, `out` has 32, and `set` is available. The kernel
            // reads the query before it writes.
            unsafe { attention.run(set) };
            assert_eq!(out, want);
        }
    }

    #[test]
    fn a_key_far_above_the_others_takes_all() {
        for set in InstructionSet::available() {
            for highest in [0, BLOCK - 1, BLOCK, BLOCK + 9] {
                let mut case = Case::<f32>::new(16, BLOCK + 10, 1.0, 4);
                case.bias[highest] = 1e4;
                assert_eq!(case.run(set, nothing()), case.values[16 * highest..16 * (highest + 1)]);
            }
        }
    }

    #[test]
    fn a_nan_is_not_hidden() {
        for set in InstructionSet::available() {
            for place in [0, BLOCK - 1, BLOCK] {
                let mut case = Case::<f32>::new(16, BLOCK + 1, 1.0, 5);
                case.keys[16 * place] = f32::NAN;
                assert!(case.run(set, nothing()).iter().all(|value| value.is_nan()), "{set:?} at {place}");
            }
        }
    }
}
