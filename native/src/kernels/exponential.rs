//! exp() in lanes of f32.

use super::lanes::Lanes;

/// ln 2 in two parts (Cody and Waite). The first part times a whole number of up to three digits is exact.
const LN2_HIGH: f32 = 355.0 / 512.0;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// 2^23 · 1.5. Adding and subtracting it rounds a much smaller number to a whole number.
const ROUNDS: f32 = 12_582_912.0;
/// Below this, results would be subnormal.
const LOWEST: f32 = -87.0;
/// 1/7!, 1/6!, … 1/0!. Up to ½·ln 2, the next term is below half a unit in the last place.
const COEFFICIENTS: [f32; 8] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// e^x for x up to 0. Numbers below −87 count as −87; NaN stays NaN.
///
/// # Safety
/// The CPU supports `L`.
#[inline(always)]
pub unsafe fn exponential<L: Lanes>(x: L::Vector) -> L::Vector {
    // SAFETY: this only calculates with vectors and touches no memory. The caller promises a CPU with `L`.
    unsafe {
        let x = L::max(L::splat(LOWEST), x);
        let shifted = L::mul_add(x, L::splat(std::f32::consts::LOG2_E), L::splat(ROUNDS));
        let n = L::sub(shifted, L::splat(ROUNDS));
        let rest = L::mul_add(n, L::splat(-LN2_HIGH), x);
        let rest = L::mul_add(n, L::splat(-LN2_LOW), rest);
        let mut sum = L::splat(COEFFICIENTS[0]);
        for coefficient in &COEFFICIENTS[1..] {
            sum = L::mul_add(sum, rest, L::splat(*coefficient));
        }
        L::mul(sum, L::power_of_two(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::InstructionSet;
    use crate::kernels::instruction_set::Vectorised;
    use crate::kernels::lanes::MAX_WIDTH;

    struct Exponential(f32);

    impl Vectorised for Exponential {
        type Output = f32;

        #[inline(always)]
        unsafe fn run<L: Lanes>(self) -> f32 {
            let mut lanes = [0.0; MAX_WIDTH];
            // SAFETY: `lanes` holds the widest vector. The caller promises a CPU with `L`.
            unsafe { L::store_f32(lanes.as_mut_ptr(), exponential::<L>(L::splat(self.0))) };
            assert!(lanes[..L::WIDTH].iter().all(|lane| lane.to_bits() == lanes[0].to_bits()));
            lanes[0]
        }
    }

    fn of(set: InstructionSet, x: f32) -> f32 {
        // SAFETY: `set` is available.
        unsafe { set.run(Exponential(x)) }
    }

    #[test]
    fn agrees_with_the_library_to_two_units_in_the_last_place() {
        for set in InstructionSet::available() {
            for i in 0..if cfg!(miri) { 100 } else { 100_000 } {
                let x = -87.0 * (i as f32 / 100_000.0);
                let want = f64::from(x).exp();
                let error = (f64::from(of(set, x)) / want - 1.0).abs();
                assert!(error < 2.0 * f64::from(f32::EPSILON), "{set:?}: exp({x}), {error:e} off");
            }
        }
    }

    #[test]
    fn ends_cleanly() {
        for set in InstructionSet::available() {
            assert_eq!(of(set, 0.0), 1.0);
            assert!(of(set, f32::NEG_INFINITY) < 2e-38 && of(set, -1e30) < 2e-38);
            assert!(of(set, f32::NAN).is_nan());
        }
    }
}
