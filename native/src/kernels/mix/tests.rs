use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::kernels::matrix::Reads;
use crate::kernels::reference;
use crate::kernels::tests::{assert_close, config, exact};

/// A kernel of this shape for every instruction set of this CPU.
fn kernels<T: Element>(rows: usize, columns: usize) -> impl Iterator<Item = (InstructionSet, Mixer<T>)> {
    InstructionSet::available().map(move |set| (set, Mixer::of(set, rows, columns)))
}

#[derive(Clone, Debug)]
struct Case {
    blocks: usize,
    length: usize,
    active: usize,
    next: usize,
    predicted: bool,
    values: Vec<f32>,
}

fn cases() -> impl Strategy<Value = Case> {
    let lengths = if cfg!(miri) { 0..40_usize } else { 0..300_usize };
    (1..=6_usize, lengths, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>())
        .prop_flat_map(|(blocks, length, active, next, predicted)| {
            let count = (blocks + 1) * length + blocks * blocks + blocks;
            prop::collection::vec(-2.0_f32..2.0, count).prop_map(move |values| Case {
                blocks,
                length,
                active: active.index(blocks),
                next: next.index(blocks),
                predicted,
                values,
            })
        })
}

/// Stored values as rows, and the coefficients.
struct Stored<T> {
    x: Vec<Vec<T>>,
    y: Vec<T>,
    p: Vec<f32>,
    g: Vec<f32>,
}

fn stored<T: Element>(case: &Case) -> Stored<T> {
    let mut values = case.values.iter().copied();
    let mut row = || (0..case.length).map(|_| T::from_f32(values.next().unwrap())).collect::<Vec<T>>();
    let x = (0..case.blocks).map(|_| row()).collect();
    let y = row();
    let p = values.by_ref().take(case.blocks * case.blocks).collect();
    Stored { x, y, p, g: values.collect() }
}

fn wide(row: &[f32]) -> Vec<f64> {
    row.iter().copied().map(f64::from).collect()
}

/// Applies `matrix` to `ins`. Overwrites the first read rows if `in_place`, otherwise writes fresh rows.
fn run<T: Element>(mixer: &Mixer<T>, matrix: &Matrix, ins: &[Vec<T>], in_place: bool) -> Vec<Vec<T>> {
    let length = ins[0].len();
    let mut rows = ins.to_vec();
    let mut fresh = vec![vec![T::default(); length]; matrix.rows()];
    let read: Vec<*const T> = rows.iter_mut().map(|row| row.as_mut_ptr().cast_const()).collect();
    let written: Vec<*mut T> = fresh
        .iter_mut()
        .enumerate()
        .map(|(r, row)| if in_place && r + 1 < read.len() { read[r].cast_mut() } else { row.as_mut_ptr() })
        .collect();
    // SAFETY: all rows have `length` elements. A written row is a read row or a fresh vector, each written once. The
    // mixers are made for available sets only.
    unsafe { mixer.run(matrix, &read, &written, length) };
    (0..matrix.rows())
        .map(|r| if in_place && r + 1 < rows.len() { rows[r].clone() } else { fresh[r].clone() })
        .collect()
}

fn check<T: Element>(case: &Case) {
    let Stored { x, y, p, g } = stored::<T>(case);
    let exact_x: reference::Blocks = x.iter().map(|row| exact(row)).collect();
    let (exact_y, exact_p, exact_g) = (exact(&y), wide(&p), wide(&g));
    let scale = 10.0 * case.blocks as f64;
    let with_y: Vec<Vec<T>> = x.iter().cloned().chain([y.clone()]).collect();

    let predict = Matrix::predict(case.blocks, |i| p[i]);
    let want = reference::predict(&exact_x, &exact_p);
    for (set, mixer) in kernels::<T>(case.blocks, case.blocks) {
        let got = run(&mixer, &predict, &x, false);
        got.iter().zip(&want).for_each(|(got, want)| assert_close(set, got, want, scale));
    }

    let correct = Matrix::correct(case.blocks, case.active, |i| g[i]);
    let want = reference::correct(&exact_x, &exact_y, &exact_g, case.active);
    for (set, mixer) in kernels::<T>(case.blocks, case.blocks + 1) {
        let got = run(&mixer, &correct, &with_y, true);
        got.iter().zip(&want).for_each(|(got, want)| assert_close(set, got, want, scale));
    }

    let reads = if case.predicted { Reads::Predicted } else { Reads::Corrected };
    let fused = Matrix::correct_predict(&correct, case.next, reads, |i| p[i]);
    let (mut want, read) =
        reference::correct_predict(&exact_x, &exact_y, &exact_g, &exact_p, case.active, case.next, reads);
    want.push(read);
    for (set, mixer) in kernels::<T>(case.blocks + 1, case.blocks + 1) {
        let apart = run(&mixer, &fused, &with_y, false);
        apart.iter().zip(&want).for_each(|(got, want)| assert_close(set, got, want, 2.0 * scale));
        assert_eq!(apart, run(&mixer, &fused, &with_y, true), "{set:?}: in place gives other numbers");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn float_matches_the_reference(case in cases()) {
        check::<f32>(&case);
    }

    #[test]
    fn float16_matches_the_reference(case in cases()) {
        check::<f16>(&case);
    }

    #[test]
    fn bfloat16_matches_the_reference(case in cases()) {
        check::<bf16>(&case);
    }
}

/// Every kernel stores special values as `half` does.
#[test]
fn conversions_agree_with_half_on_every_bit_pattern() {
    fn identity<T: Element>(make: fn(u16) -> T, bits: fn(T) -> u16, is_nan: fn(T) -> bool) {
        let all: Vec<T> = (0..=u16::MAX).step_by(if cfg!(miri) { 257 } else { 1 }).map(make).collect();
        let one = Matrix::predict(1, |_| 1.0);
        for (set, mixer) in kernels::<T>(1, 1) {
            let got = run(&mixer, &one, std::slice::from_ref(&all), false);
            for (before, after) in all.iter().zip(&got[0]) {
                let same = if is_nan(*before) { is_nan(*after) } else { bits(*before) == bits(*after) };
                assert!(same, "{set:?}: {before:?} became {after:?}");
            }
        }
    }
    identity::<f16>(f16::from_bits, f16::to_bits, f16::is_nan);
    identity::<bf16>(bf16::from_bits, bf16::to_bits, bf16::is_nan);
}

#[test]
fn an_element_has_the_same_value_wherever_it_stands() {
    let case = |shift: usize| {
        let row: Vec<f32> = (0..67).map(|i| if i == shift { 0.7 } else { 0.1 }).collect();
        let matrix = Matrix::correct(2, 0, |i| 0.3 + i as f32);
        kernels::<f32>(2, 3)
            .map(move |(_, mixer)| {
                run(
                    &mixer,
                    &matrix,
                    &[row.clone(), row.clone(), row.iter().map(|v| v * 1.7).collect()],
                    false,
                )[1][shift]
            })
            .collect::<Vec<_>>()
    };
    let first = case(0);
    (1..67).for_each(|shift| assert_eq!(case(shift), first, "at {shift}"));
}
