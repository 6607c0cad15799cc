//! Passes over a whole vocabulary.

use super::vectorized::vectorized;

vectorized! {
    /// Copies logits that are all finite; otherwise false, and `to` holds anything.
    pub fn take_finite(from: &[f32], to: &mut [f64]) -> bool {
        let mut is_finite = true;
        for (from, to) in from.iter().zip(to) {
            is_finite &= from.abs() < f32::INFINITY;
            *to = f64::from(*from);
        }
        is_finite
    }
}

vectorized! {
    pub fn is_finite(values: &[f32]) -> bool {
        values.iter().fold(true, |all, value| all & (value.abs() < f32::INFINITY))
    }
}

/// The highest of values none of which is NaN, in independent lanes; −∞ of none.
macro_rules! highest_value {
    ($name:ident, $number:ty) => {
        vectorized! {
            pub fn $name(values: &[$number]) -> $number {
                let mut lanes = [<$number>::NEG_INFINITY; 16];
                let higher = |a: $number, b: $number| if a > b { a } else { b };
                let (chunks, rest) = values.as_chunks::<16>();
                for chunk in chunks {
                    for (lane, value) in lanes.iter_mut().zip(chunk) {
                        *lane = higher(*value, *lane);
                    }
                }
                lanes.iter().chain(rest).fold(<$number>::NEG_INFINITY, |a, b| higher(*b, a))
            }
        }
    };
}

highest_value!(highest_f32, f32);
highest_value!(highest_f64, f64);
