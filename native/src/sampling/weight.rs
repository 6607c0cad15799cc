//! Weights of tokens, like src/sampling/weight.ts: whole numbers, so that every sum of them is exact in any order.

use super::exponential::{LANES, exponential, is_normal, normal};
use super::vectorized::vectorized;

/// Weight of the most likely of `vocabulary` tokens.
pub fn top_weight(vocabulary: usize) -> f64 {
    let bits = vocabulary.next_power_of_two().trailing_zeros().max(2);
    (1_u64 << (53 - bits)) as f64
}

/// 2^52. Adding and subtracting it rounds a smaller positive number to a whole one, halves to even.
const ROUNDS: f64 = 4_503_599_627_370_496.0;

#[inline(always)]
fn whole(share: f64, top: f64) -> f64 {
    share * top + ROUNDS - ROUNDS
}

vectorized! {
    /// exp((value − highest) / temperature) · top in place, as whole numbers; no value is above `highest`.
    pub fn weigh(values: &mut [f64], highest: f64, temperature: f64, top: f64) {
        let (chunks, rest) = values.as_chunks_mut::<LANES>();
        for lanes in chunks {
            let scaled = lanes.map(|value| (value - highest) / temperature);
            let shares = if is_normal(&scaled) { normal(scaled) } else { scaled.map(exponential) };
            *lanes = shares.map(|share| whole(share, top));
        }
        for value in rest {
            *value = whole(exponential((*value - highest) / temperature), top);
        }
    }
}

vectorized! {
    /// Sum of weights.
    pub fn total(weights: &[f64]) -> f64 {
        let mut lanes = [0.0; LANES];
        let (chunks, rest) = weights.as_chunks::<LANES>();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, weight)| *lane += weight);
        }
        lanes.iter().chain(rest).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_weights_of_a_vocabulary_add_up_exactly() {
        for vocabulary in [1, 2, 3, 4, 5, 999, 32_128, 262_144, 262_145, 1 << 20] {
            assert!(vocabulary as f64 * top_weight(vocabulary) <= (1_u64 << 53) as f64);
        }
        assert_eq!(top_weight(262_144), (1_u64 << 35) as f64);
        let mut weights: Vec<f64> = (0..5000).map(|i| -f64::from(i * 7919 % 5000) / 100.0).collect();
        weigh(&mut weights, 0.0, 0.7, top_weight(5000));
        let forwards = weights.iter().fold(0.0, |sum, weight| sum + weight);
        let backwards = weights.iter().rev().fold(0.0, |sum, weight| sum + weight);
        assert_eq!([forwards, total(&weights)], [backwards; 2]);
    }

    #[test]
    fn lanes_and_single_numbers_are_the_same_bits() {
        for spread in [1.0, 40.0, 2000.0] {
            let logits: Vec<f64> =
                (0..1003).map(|i| -spread * f64::from((i * 7919) % 1003) / 1003.0).collect();
            let mut weights = logits.clone();
            weigh(&mut weights, 0.0, 0.7, top_weight(1003));
            for (logit, weight) in logits.iter().zip(weights) {
                assert_eq!(weight.to_bits(), whole(exponential(logit / 0.7), top_weight(1003)).to_bits());
            }
        }
    }
}
