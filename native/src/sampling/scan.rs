//! Passes over a whole vocabulary.

use super::vectorized::vectorized;

vectorized! {
    /// Copies `from` to `to`. If a logit is not finite, returns false and `to` holds arbitrary values.
    pub fn take_finite(from: &[f32], to: &mut [f64]) -> bool {
        let mut is_finite = true;
        for (from, to) in from.iter().zip(to) {
            is_finite &= from.abs() < f32::INFINITY;
            *to = f64::from(*from);
        }
        is_finite
    }
}

/// Values per piece. A piece's highest value is found first, its place only in the best piece.
const PIECE: usize = 1024;

vectorized! {
    /// The highest value; NaN if any value is not finite.
    pub fn highest_if_finite(values: &[f32]) -> f32 {
        let mut highest = [f32::NEG_INFINITY; 16];
        // Zero times a finite value is zero; zero times anything else is NaN.
        let mut faults = [0.0; 16];
        let (chunks, rest) = values.as_chunks::<16>();
        for chunk in chunks {
            for ((highest, fault), value) in highest.iter_mut().zip(&mut faults).zip(chunk) {
                *highest = if *value > *highest { *value } else { *highest };
                *fault += 0.0 * value;
            }
        }
        let fault = faults.iter().sum::<f32>() + rest.iter().map(|value| 0.0 * value).sum::<f32>();
        highest.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a }) + fault
    }
}

/// Index of the first of the highest values, in one pass over memory; None if a value is not finite or there are none.
pub fn place_of_highest(values: &[f32]) -> Option<usize> {
    let (mut highest, mut best) = (f32::NEG_INFINITY, None);
    for (i, piece) in values.chunks(PIECE).enumerate() {
        let value = highest_if_finite(piece);
        if value.is_nan() {
            return None;
        }
        if value > highest {
            (highest, best) = (value, Some((i * PIECE, piece)));
        }
    }
    let (start, piece) = best?;
    piece.iter().position(|value| *value == highest).map(|place| start + place)
}

/// The highest of values without NaN, in independent lanes; −∞ if there are none.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_first_of_the_highest(values in proptest::collection::vec(-40i16..40, 1..5000)) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(place_of_highest(&values), values.iter().position(|value| *value == highest));
        }

        #[test]
        fn finds_no_place_where_a_value_is_not_finite(
            length in 1usize..3000,
            place in 0usize..3000,
            value in prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
        ) {
            let mut values = vec![1.0; length];
            values[place % length] = value;
            prop_assert_eq!(place_of_highest(&values), None);
        }
    }
}
