use super::highest::highest;
use super::logarithm::logarithm;
use super::scan::highest_f32;
use super::weight::{top_weight, total, weigh};

/// Natural log probabilities under the model's own distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprobs {
    pub logprob: f64,
    /// Most likely first.
    pub top: Vec<(u32, f64)>,
}

/// Log-softmax of the model's own logits at `token`, and the `alternatives` most likely tokens.
pub fn logprobs(logits: &[f32], token: u32, alternatives: usize) -> Logprobs {
    let mut top = Vec::new();
    highest(logits, alternatives, &mut top);
    let log_sum = log_sum_exp(logits);
    let logprob = |id: u32| f64::from(logits[id as usize]) - log_sum;
    Logprobs { logprob: logprob(token), top: top.into_iter().map(|id| (id, logprob(id))).collect() }
}

/// Rank of `token` among all tokens by likelihood, from 1.
pub fn rank(logits: &[f32], token: u32) -> usize {
    let own = logits[token as usize];
    1 + logits.iter().filter(|logit| **logit > own).count()
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    const AT_ONCE: usize = 512;
    let highest = f64::from(highest_f32(logits));
    let top = top_weight(logits.len());
    let mut sum = 0.0;
    let mut weights = [0.0; AT_ONCE];
    for chunk in logits.chunks(AT_ONCE) {
        let weights = &mut weights[..chunk.len()];
        weights.iter_mut().zip(chunk).for_each(|(weight, logit)| *weight = f64::from(*logit));
        weigh(weights, highest, 1.0, top);
        sum += total(weights);
    }
    highest + logarithm(sum / top)
}
