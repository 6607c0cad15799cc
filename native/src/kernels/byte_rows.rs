//! Rows of numbers in int8, each with one scale: number ≈ scale · code, codes from −127 to 127.

use super::attention::MAX_HEAD_SIZE;
use super::element::Element;
use super::instruction_set::{InstructionSet, Vectorised};
use super::lanes::{Lanes, MAX_WIDTH};
use super::row::{load_part, store_part};

/// Below this, a row counts as zeros: dividing by its scale could overflow.
pub const LEAST: f32 = 1e-30;

/// Rows of keys or of values that lie interleaved.
pub const GROUP: usize = MAX_WIDTH;
/// Bytes that one instruction multiplies and adds in each lane.
const BYTES: usize = 4;
/// What is added to the codes of keys, because the instructions multiply unsigned bytes with signed ones.
pub const OFFSET: i8 = i8::MIN;

/// Codes of a row, with the zeros behind them.
pub const fn width(head_size: usize) -> usize {
    head_size.next_multiple_of(MAX_WIDTH)
}

/// A cache's keys or values of one head: the codes of all positions, then their scales. It fills the memory of a tensor
/// that would hold fewer positions of numbers.
///
/// Codes lie in the order in which sums over several lanes read them. Keys, [positions / 16, width / 4, 16, 4]: four
/// numbers of 16 positions in turn. Values, [positions / 4, width, 4]: each number of four positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRows {
    pub head_size: usize,
    /// Whole groups.
    pub capacity: usize,
}

impl ByteRows {
    /// The rows that fit a tensor of `positions` rows of numbers, `size` bytes each.
    pub fn within(positions: usize, (head_size, size): (usize, usize)) -> Self {
        let capacity = positions * head_size * size / (width(head_size) + size_of::<f32>());
        Self { head_size, capacity: capacity - capacity % GROUP }
    }

    /// The positions of a tensor of numbers, `size` bytes each, that has room for `capacity` rows.
    pub fn tensor_positions(capacity: usize, (head_size, size): (usize, usize)) -> usize {
        let bytes = capacity.next_multiple_of(GROUP) * (width(head_size) + size_of::<f32>());
        bytes.div_ceil(head_size * size)
    }

    /// Where the codes of a group begin, in bytes from the head's start. `position`: its first.
    pub fn codes(&self, position: usize) -> usize {
        assert!(position.is_multiple_of(GROUP));
        position * width(self.head_size)
    }

    /// Where the scale of a position is, in bytes from the head's start.
    pub fn scale(&self, position: usize) -> usize {
        self.capacity * width(self.head_size) + position * size_of::<f32>()
    }

    /// Writes a row of keys to `position`, with the offset.
    ///
    /// # Safety
    /// `head` is the start of a head with these rows, `position` one of them, and `row` has the head size.
    pub unsafe fn write_key<T: Element>(&self, head: *mut u8, position: usize, row: *const T) {
        let mut codes = [0; MAX_HEAD_SIZE];
        let count = width(self.head_size) / BYTES;
        // SAFETY: the caller promises the row and the head; `codes` holds the longest row. Scales may be unaligned.
        unsafe {
            let scale = self.round(row, &mut codes);
            let place = head.add(self.codes(position - position % GROUP) + position % GROUP * BYTES);
            for (i, four) in codes.as_chunks::<BYTES>().0[..count].iter().enumerate() {
                let four = four.map(|code| code.wrapping_add(OFFSET));
                place.add(i * GROUP * BYTES).cast::<[i8; BYTES]>().write_unaligned(four);
            }
            head.add(self.scale(position)).cast::<f32>().write_unaligned(scale);
        }
    }

    /// Writes a row of values to `position`.
    ///
    /// # Safety
    /// As [`Self::write_key`].
    pub unsafe fn write_value<T: Element>(&self, head: *mut u8, position: usize, row: *const T) {
        let mut codes = [0; MAX_HEAD_SIZE];
        let width = width(self.head_size);
        // SAFETY: as in `write_key`.
        unsafe {
            let scale = self.round(row, &mut codes);
            let place = head.add((position - position % BYTES) * width + position % BYTES).cast::<i8>();
            for (i, code) in codes[..width].iter().enumerate() {
                place.add(i * BYTES).write(*code);
            }
            head.add(self.scale(position)).cast::<f32>().write_unaligned(scale);
        }
    }

    /// # Safety
    /// `row` has the head size.
    unsafe fn round<T: Element>(&self, row: *const T, codes: &mut [i8; MAX_HEAD_SIZE]) -> f32 {
        let length = self.head_size;
        assert!(length <= MAX_HEAD_SIZE);
        // SAFETY: the caller promises the row, and `codes` is at least as long; `fastest` is available.
        unsafe { Round { row, codes: codes.as_mut_ptr(), length }.run(InstructionSet::fastest()) }
    }
}

/// Rounds a row to codes and returns its scale: NaN if a number is not finite.
pub struct Round<T> {
    /// `length` elements.
    pub row: *const T,
    pub codes: *mut i8,
    pub length: usize,
}

impl<T: Element> Round<T> {
    /// # Safety
    /// `row` and `codes` are valid for `length` elements, and `set` is available.
    pub unsafe fn run(self, set: InstructionSet) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { set.run(self) }
    }
}

impl<T: Element> Vectorised for Round<T> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) -> f32 {
        let Self { row, codes, length } = self;
        // SAFETY: the caller promises `length` elements and a CPU with `L`; `part` stops there.
        unsafe {
            let zero = L::splat(0.0);
            let (mut greatest, mut poison) = (zero, zero);
            for at in (0..length).step_by(L::WIDTH) {
                let number = load_part::<L, T>(row.add(at), L::WIDTH.min(length - at), 0.0);
                greatest = L::max(L::max(number, L::sub(zero, number)), greatest);
                // 0 if the number is finite, otherwise NaN, which `max` may lose.
                poison = L::mul_add(number, zero, poison);
            }
            let greatest = L::highest(greatest) + L::sum(poison);
            let (scale, inverse) =
                if greatest < LEAST { (0.0, 0.0) } else { (greatest / 127.0, 127.0 / greatest) };
            for at in (0..length).step_by(L::WIDTH) {
                let part = L::WIDTH.min(length - at);
                let number = load_part::<L, T>(row.add(at), part, 0.0);
                store_part::<L, i8>(codes.add(at), L::mul(number, L::splat(inverse)), part);
            }
            scale
        }
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::tests::noise;

    fn rounded<T: Element>(set: InstructionSet, row: &[T]) -> (Vec<i8>, f32) {
        let mut codes = vec![99; row.len()];
        // SAFETY: both have this length, and callers take `set` from `available`.
        let scale =
            unsafe { Round { row: row.as_ptr(), codes: codes.as_mut_ptr(), length: row.len() }.run(set) };
        (codes, scale)
    }

    fn check<T: Element>(length: usize, factor: f32, seed: u32) {
        let row: Vec<T> =
            noise::<f32>(length, seed).iter().map(|number| T::from_f32(factor * number)).collect();
        let greatest = row.iter().map(|number| number.to_f32().abs()).fold(0.0, f32::max);
        for set in InstructionSet::available() {
            let (codes, scale) = rounded(set, &row);
            assert_eq!(scale, greatest / 127.0, "{set:?}");
            for (code, number) in codes.iter().zip(&row) {
                assert_eq!(*code, (number.to_f32() * (127.0 / greatest)).round_ties_even() as i8, "{set:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(crate::kernels::tests::config())]

        #[test]
        fn every_instruction_set_rounds_alike(length in 1..300_usize, power in -8..5, seed in 0..1000_u32) {
            check::<f32>(length, 10_f32.powi(power), seed);
            check::<f16>(length, 10_f32.powi(power.max(-2)), seed);
            check::<bf16>(length, 10_f32.powi(power), seed);
        }

        #[test]
        fn a_tensor_has_room_for_all_rows(
            wanted in 1..5000_usize,
            head_size in 1..300_usize,
            size in prop_oneof![Just(2_usize), Just(4)],
        ) {
            let positions = ByteRows::tensor_positions(wanted, (head_size, size));
            let rows = ByteRows::within(positions, (head_size, size));
            prop_assert!(rows.capacity >= wanted && rows.capacity.is_multiple_of(GROUP));
            prop_assert!(rows.codes(rows.capacity) <= rows.scale(0));
            prop_assert!(rows.scale(rows.capacity) <= positions * head_size * size);
        }
    }

    #[test]
    fn zeros_stay_zeros_and_what_is_not_finite_is_remembered() {
        for set in InstructionSet::available() {
            assert_eq!(rounded(set, &[0.0; 20]), (vec![0; 20], 0.0));
            assert_eq!(rounded(set, &[1e-38; 20]), (vec![0; 20], 0.0));
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, 7, 19] {
                    let mut row = [0.5; 20];
                    row[at] = bad;
                    assert!(rounded(set, &row).1.is_nan(), "{set:?}: {bad} at {at}");
                }
            }
        }
    }
}
