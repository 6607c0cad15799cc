use proptest::prelude::*;

use super::*;
use crate::kernels::instruction_set::DotSet;
use crate::kernels::tests::noise;

/// A matrix of random codes with random zero points, and rows for it.
struct Case<const BITS: usize> {
    columns: usize,
    blocks: usize,
    rows: usize,
    codes: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<u8>,
    x: Vec<f32>,
}

impl<const BITS: usize> Case<BITS> {
    fn new(columns: usize, blocks: usize, rows: usize, seed: u32) -> Self {
        let bytes = |count, seed| -> Vec<u8> {
            noise::<f32>(count, seed).iter().map(|number| (number * 127.5 + 127.5) as u8).collect()
        };
        Self {
            columns,
            blocks,
            rows,
            codes: bytes(columns * blocks * BLOCK * BITS / 8, seed),
            scales: noise(columns * blocks, seed + 1),
            zeros: bytes(columns * (blocks * BITS).div_ceil(8), seed + 2),
            x: noise(rows * blocks * BLOCK, seed + 3),
        }
    }

    /// Every second seed gives scales that the packed matrix keeps in float16.
    fn of_any_scales(columns: usize, blocks: usize, rows: usize, seed: u32) -> Self {
        let mut case = Self::new(columns, blocks, rows, seed);
        if seed.is_multiple_of(2) {
            for scale in &mut case.scales {
                *scale = half::f16::from_f32(*scale).to_f32();
            }
        }
        case
    }

    fn view(&self) -> Codes<BITS> {
        Codes {
            codes: self.codes.as_ptr(),
            scales: self.scales.as_ptr(),
            zeros: self.zeros.as_ptr(),
            columns: self.columns,
            blocks: self.blocks,
        }
    }

    fn bits(bytes: &[u8], index: usize) -> f64 {
        f64::from((bytes[index * BITS / 8] >> (index * BITS % 8)) & (((1_u16 << BITS) - 1) as u8))
    }

    /// Number `k` of the matrix's column `column`, which is its row `column` as stored.
    fn weight(&self, column: usize, k: usize) -> f64 {
        let block = k / BLOCK;
        let zeros = &self.zeros[column * (self.blocks * BITS).div_ceil(8)..];
        let code = Self::bits(&self.codes, column * self.blocks * BLOCK + k);
        (code - Self::bits(zeros, block)) * f64::from(self.scales[column * self.blocks + block])
    }

    /// The product with activations rounded to 8 bits, and the sum of its terms' magnitudes.
    fn reference(&self, row: usize, column: usize) -> (f64, f64) {
        let x = &self.x[row * self.blocks * BLOCK..][..self.blocks * BLOCK];
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for (block, x) in x.chunks(BLOCK).enumerate() {
            let greatest = x.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let inverse = if greatest > 0.0 { 127.0 / greatest } else { 0.0 };
            for (i, value) in x.iter().enumerate() {
                let rounded = f64::from((value * inverse).round_ties_even()) * f64::from(greatest / 127.0);
                let term = rounded * self.weight(column, block * BLOCK + i);
                sum += term;
                magnitude += term.abs();
            }
        }
        (sum, magnitude)
    }

    /// The rows `from..to` together, with the tasks in reverse order on two threads.
    fn product(&self, set: DotSet, from: usize, to: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; (to - from) * self.columns];
        let parallel = |count: usize, task: &(dyn Fn(usize) + Sync)| -> Result<(), ()> {
            std::thread::scope(|scope| {
                scope.spawn(|| (0..count / 2).rev().for_each(task));
                (count / 2..count).rev().for_each(task);
            });
            Ok(())
        };
        // SAFETY: `set` is available; the matrix, `x` and `out` have these rows and columns.
        unsafe {
            let matrix = Packed::new(set, &self.view()).unwrap();
            let x = (self.x[from * self.blocks * BLOCK..].as_ptr(), to - from);
            multiply(&matrix, x, out.as_mut_ptr(), &parallel).unwrap();
        }
        out
    }

    /// Every column read from the packed matrix and from the codes: one rounding of the exact number.
    fn check_columns(&self) {
        for column in 0..self.columns {
            let numbers = 0..self.blocks * BLOCK;
            let want: Vec<f32> = numbers.map(|k| self.weight(column, k) as f32).collect();
            let mut got = vec![f32::NAN; want.len()];
            // SAFETY: the view has all its columns.
            unsafe { self.view().read_column(column, &mut got) };
            assert_eq!(got, want, "column {column} of codes");
            for set in DotSet::available() {
                // SAFETY: as above, and the matrix has at least one column and one block.
                let packed = unsafe { Packed::new(set, &self.view()) }.unwrap();
                got.fill(f32::NAN);
                packed.read_column(column, &mut got);
                assert_eq!(got, want, "column {column}, {set:?}");
            }
        }
    }

    /// Each instruction set is near the reference, and all give the same bits.
    fn check(&self) {
        let portable = self.product(DotSet::Portable, 0, self.rows);
        for set in DotSet::available() {
            let together = self.product(set, 0, self.rows);
            assert_same(&together, &portable, set);
            for (at, got) in together.iter().enumerate() {
                let (row, column) = (at / self.columns, at % self.columns);
                let (want, magnitude) = self.reference(row, column);
                // Codes may exceed their distance to the zero point, and both are exact; only the sums round.
                let allowed = f64::from(f32::EPSILON) * (self.blocks + 4) as f64 * magnitude.max(1e-3);
                let error = (f64::from(*got) - want).abs();
                assert!(error <= allowed, "{set:?}, row {row}, column {column}: {got}, not {want}");
            }
        }
    }
}

fn assert_same(got: &[f32], want: &[f32], set: DotSet) {
    let bits = |row: &[f32]| row.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(got), bits(want), "{set:?}");
}

fn sizes() -> (std::ops::Range<usize>, std::ops::Range<usize>, std::ops::Range<usize>) {
    if cfg!(miri) { (1..20, 1..6, 1..4) } else { (1..40, 1..20, 1..12) }
}

proptest! {
    #![proptest_config(crate::kernels::tests::config())]

    #[test]
    fn every_product_matches_the_reference(
        (columns, blocks, rows) in sizes(),
        seed in 0..1000_u32,
    ) {
        Case::<4>::of_any_scales(columns, blocks, rows, seed).check();
        Case::<8>::of_any_scales(columns, blocks, rows, seed).check();
    }

    #[test]
    fn a_column_is_read_as_its_codes_say((columns, blocks, _) in sizes(), seed in 0..1000_u32) {
        Case::<4>::of_any_scales(columns, blocks, 1, seed).check_columns();
        Case::<8>::of_any_scales(columns, blocks, 1, seed).check_columns();
    }

    #[test]
    fn a_row_is_the_same_among_any_others(
        (columns, blocks, _) in sizes(),
        cut in 1..19_usize,
        seed in 0..1000_u32,
    ) {
        let case = Case::<4>::new(columns, blocks, 20, seed);
        for set in DotSet::available() {
            let together = case.product(set, 0, 20);
            assert_same(&[case.product(set, 0, cut), case.product(set, cut, 20)].concat(), &together, set);
        }
    }
}

#[test]
fn a_row_is_the_same_alone_and_on_threads() {
    let (columns, rows) = (if cfg!(miri) { 20 } else { 1000 }, 9);
    let case = Case::<8>::new(columns, 5, rows, 3);
    for set in DotSet::available() {
        let together = case.product(set, 0, rows);
        assert_same(&case.product(set, 0, 0), &[], set);
        for row in 0..rows {
            assert_same(&case.product(set, row, row + 1), &together[row * columns..][..columns], set);
        }
    }
}

/// The numbers are sums of the bits as the portable code computed them on x86-64.
#[test]
fn results_are_the_same_on_every_machine() {
    let sum = |out: Vec<f32>| {
        out.iter().fold(0_u64, |sum, number| sum.wrapping_mul(31).wrapping_add(number.to_bits().into()))
    };
    for set in DotSet::available() {
        let four = sum(Case::<4>::new(21, 37, 5, 11).product(set, 0, 5));
        let eight = sum(Case::<8>::new(21, 37, 5, 11).product(set, 0, 5));
        assert_eq!((four, eight), (18275035408448287685, 10228514579513588546), "{set:?}");
    }
}

#[test]
fn extreme_codes_do_not_overflow() {
    for zero in [0, 255] {
        let mut case = Case::<8>::new(3, 4, 2, 7);
        case.codes.fill(255 - zero);
        case.zeros.fill(zero);
        for (i, x) in case.x.iter_mut().enumerate() {
            *x = if i < case.blocks * BLOCK { 1.0 } else { -1.0 };
        }
        case.check();
    }
}

#[test]
fn zeros_stay_zero() {
    let mut case = Case::<4>::new(20, 5, 3, 1);
    case.x.fill(0.0);
    for set in DotSet::available() {
        assert!(case.product(set, 0, 3).iter().all(|number| *number == 0.0));
    }
}

#[test]
fn numbers_too_small_for_a_scale_count_as_zero() {
    let mut case = Case::<8>::new(20, 5, 3, 1);
    case.x.fill(f32::from_bits(1));
    for set in DotSet::available() {
        assert!(case.product(set, 0, 3).iter().all(|number| *number == 0.0), "{set:?}");
    }
}

#[test]
fn a_number_that_is_not_finite_makes_its_row_nan_and_no_other() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut case = Case::<4>::new(20, 5, 3, 1);
        let width = case.blocks * BLOCK;
        case.x[width + 37] = wrong;
        for set in DotSet::available() {
            for (row, own) in case.product(set, 0, 3).chunks(case.columns).enumerate() {
                assert!(own.iter().all(|number| number.is_nan() == (row == 1)), "{set:?}: {row}");
            }
        }
    }
}
