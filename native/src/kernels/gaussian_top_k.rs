//! relu(x − (mean + m·std)) over a row, population standard deviation, in f32.

use super::element::Element;
use super::instruction_set::{InstructionSet, Vectorised};
use super::lanes::Lanes;
use super::row;

struct GaussianTopK<T> {
    gate: *const T,
    out: *mut T,
    length: usize,
    std_multiplier: f32,
}

impl<T: Element> Vectorised for GaussianTopK<T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { gate, out, length, std_multiplier } = self;
        // SAFETY: `gate` and `out` have `length` elements and are equal or apart, by the contract of `gaussian_top_k`,
        // the only one to make this. The caller promises a CPU with `L`.
        unsafe {
            let mean = row::sum::<L, T>(gate, length, 0.0, |x| x) / length as f32;
            let squares = row::sum::<L, T>(gate, length, mean, |x| {
                let centred = L::sub(x, L::splat(mean));
                L::mul(centred, centred)
            });
            let cutoff = L::splat(mean + std_multiplier * (squares / length as f32).sqrt());
            row::map::<L, T>(gate, out, length, |x| L::max(L::splat(0.0), L::sub(x, cutoff)));
        }
    }
}

/// # Safety
/// `gate` is valid for reading and `out` for writing `length` elements; they are equal or do not overlap. `set` is
/// available.
pub unsafe fn gaussian_top_k<T: Element>(
    set: InstructionSet,
    gate: *const T,
    out: *mut T,
    length: usize,
    std_multiplier: f32,
) {
    // SAFETY: the caller promises that `set` is available and that both rows have `length` elements, equal or apart.
    unsafe { set.run(GaussianTopK { gate, out, length, std_multiplier }) }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::reference;
    use crate::kernels::tests::{assert_close, exact};

    fn check<T: Element>(values: &[f32], std_multiplier: f32) {
        let gate: Vec<T> = values.iter().copied().map(T::from_f32).collect();
        let want = reference::gaussian_top_k(&exact(&gate), std_multiplier.into());
        for set in InstructionSet::available() {
            let mut out = vec![T::from_f32(f32::NAN); gate.len()];
            // SAFETY: `out` is as long as `gate` and is another vector. `set` is available.
            unsafe {
                gaussian_top_k(set, gate.as_ptr(), out.as_mut_ptr(), gate.len(), std_multiplier);
            }
            assert_close(set, &out, &want, 20.0);
            let mut over = gate.clone();
            let place = over.as_mut_ptr();
            // SAFETY: `over` is as long as `gate`, and source and target may be equal. `set` is available.
            unsafe { gaussian_top_k(set, place, place, gate.len(), std_multiplier) };
            assert_eq!(over, out, "{set:?}: in place gives other numbers");
        }
    }

    proptest! {
        #![proptest_config(crate::kernels::tests::config())]

        #[test]
        fn every_type_matches_the_reference(
            values in prop::collection::vec(-3.0_f32..5.0, 1..if cfg!(miri) { 40 } else { 400 }),
            std_multiplier in -2.0_f32..3.0,
        ) {
            check::<f32>(&values, std_multiplier);
            check::<f16>(&values, std_multiplier);
            check::<bf16>(&values, std_multiplier);
        }
    }

    #[test]
    fn a_nan_in_the_row_is_not_hidden() {
        let gate = [1.0_f32, f32::NAN, 2.0];
        for set in InstructionSet::available() {
            let mut out = [0.0; 3];
            // SAFETY: `gate` and `out` are different arrays of 3 elements. `set` is available.
            unsafe { gaussian_top_k(set, gate.as_ptr(), out.as_mut_ptr(), 3, 1.0) };
            assert!(out.iter().all(|value| value.is_nan()), "{set:?}: {out:?}");
        }
    }
}
