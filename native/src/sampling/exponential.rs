//! exp() by the recipe of src/sampling/exponential.ts, which explains it.

use std::f64::consts::LOG2_E;

const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;

/// Smallest and largest argument with a result that is neither 0 nor infinite.
const LOWEST: f64 = -745.1332191019411;
const HIGHEST: f64 = 709.782712893384;
/// Arguments from here to 709 have normal numbers as results.
const LOWEST_NORMAL: f64 = -708.0;

pub const LANES: usize = 8;

/// 1/13!, 1/12!, … 1/0!; each division rounds once.
const COEFFICIENTS: [f64; 14] = {
    let mut reciprocals = [1.0; 14];
    let mut factorial = 1.0;
    let mut n = 1;
    while n <= 13 {
        factorial *= n as f64;
        reciprocals[13 - n] = 1.0 / factorial;
        n += 1;
    }
    reciprocals
};

/// 2^52 · 1.5. Adding and subtracting it rounds a much smaller number to a whole number.
const ROUNDS: f64 = 6_755_399_441_055_744.0;
/// 2^52 + 1023. Added to a whole number, it leaves the biased exponent in the lowest bits.
const BIASES: f64 = 4_503_599_627_371_519.0;

#[inline(always)]
fn floor(y: f64) -> f64 {
    let near = (y + ROUNDS) - ROUNDS;
    if near > y { near - 1.0 } else { near }
}

/// k and exp(r) of x = k · ln 2 + r.
#[inline(always)]
fn parts(x: f64) -> (f64, f64) {
    let k = floor(x * LOG2_E + 0.5);
    let r = x - k * LN2_HIGH - k * LN2_LOW;
    let mut sum = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        sum = sum * r + coefficient;
    }
    (k, sum)
}

/// 2^k for a whole k in −1022..=1023.
#[inline(always)]
fn power_of_two(k: f64) -> f64 {
    f64::from_bits((k + BIASES).to_bits() << 52)
}

/// exp(x) for any x except NaN.
pub fn exponential(x: f64) -> f64 {
    if x < LOWEST {
        return 0.0;
    }
    if x > HIGHEST {
        return f64::INFINITY;
    }
    let (k, sum) = parts(x);
    if k > 1023.0 {
        sum * 2.0 * power_of_two(k - 1.0)
    } else if k < -1074.0 {
        sum * 0.5 * f64::from_bits(1)
    } else if k < -1022.0 {
        // A subnormal power of two has a single bit.
        sum * f64::from_bits(1 << (k as i32 + 1074))
    } else {
        sum * power_of_two(k)
    }
}

/// Whether `normal` is right for these arguments.
#[inline(always)]
pub fn is_normal(x: &[f64; LANES]) -> bool {
    x.iter().fold(true, |all, x| all & (*x >= LOWEST_NORMAL))
}

/// exp() of arguments with normal numbers as results.
#[inline(always)]
pub fn normal(x: [f64; LANES]) -> [f64; LANES] {
    let mut result = [0.0; LANES];
    for (result, x) in result.iter_mut().zip(x) {
        let (k, sum) = parts(x);
        *result = sum * power_of_two(k);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_library_to_1e_15() {
        for i in 0..200_000 {
            let x = -708.0 + f64::from(i) * (1417.0 / 200_000.0);
            assert!((exponential(x) / x.exp() - 1.0).abs() < 1e-15, "exp({x})");
        }
    }

    #[test]
    fn ends_cleanly() {
        assert_eq!(exponential(0.0), 1.0);
        assert_eq!(exponential(-746.0), 0.0);
        assert_eq!(exponential(f64::NEG_INFINITY), 0.0);
        assert_eq!(exponential(710.0), f64::INFINITY);
        assert_eq!(exponential(-745.13), f64::from_bits(1));
    }
}
