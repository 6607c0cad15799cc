//! Natural logarithm by the recipe of src/sampling/token-logprobs.ts, which explains it.

use std::f64::consts::SQRT_2;

const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;

/// The logarithm of a positive normal number.
pub fn logarithm(x: f64) -> f64 {
    let mut k = (x.to_bits() >> 52) as f64 - 1023.0;
    let mut m = f64::from_bits((x.to_bits() & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if m > SQRT_2 {
        m *= 0.5;
        k += 1.0;
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut sum = 1.0 / 23.0;
    for n in (1..=21).rev().step_by(2) {
        sum = sum * square + 1.0 / f64::from(n);
    }
    k * LN2_HIGH + (2.0 * s * sum + k * LN2_LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_library_to_1e_15() {
        for i in 1..200_000 {
            let x = 1.0 + f64::from(i) * 1.7;
            assert!((logarithm(x) / x.ln() - 1.0).abs() < 1e-15, "log({x})");
        }
        assert_eq!(logarithm(1.0), 0.0);
        assert_eq!(logarithm(2.0), std::f64::consts::LN_2);
    }
}
