use llguidance::toktrie::SimpleVob;
use napi_derive::napi;

use super::candidates::Candidates;
use super::random::uniform;
use super::scan::highest_f64;
use super::state::SamplingState;
use super::vectorized::vectorized;

/// SamplingParameters of src/sampling/sampling-request.ts, read from JavaScript by name. This file is all that has to
/// know a new number.
#[derive(Debug, Clone, Default)]
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct Parameters {
    pub repetition_penalty: f64,
    pub presence_penalty: f64,
    pub frequency_penalty: f64,
    pub top_n_sigma: f64,
    pub temperature: f64,
    pub min_p: f64,
    pub top_k: f64,
    pub top_p: f64,
    pub logit_bias: Vec<(u32, f64)>,
    pub allowed_tokens: Option<Vec<u32>>,
    pub bad_words: Vec<Vec<u32>>,
    /// The id of a NativeGrammar.
    pub grammar: Option<u32>,
    /// Low half first.
    pub seed: (u32, u32),
}

/// Whether the request leaves the model's logits unchanged at this position.
pub fn is_neutral(state: &SamplingState) -> bool {
    let parameters = &state.parameters;
    !state.has_grammar()
        && parameters.logit_bias.is_empty()
        && parameters.allowed_tokens.is_none()
        && state.forbidden().next().is_none()
        && (parameters.repetition_penalty == 1.0 || state.seen.is_empty())
        && (!has_output_penalty(state) || state.counts.is_empty())
}

/// Applies the steps of src/sampling/sampler.ts: logit bias, forbidden tokens, repetition penalty, presence and
/// frequency penalty. `mask` holds the tokens that a grammar allows.
pub fn adjust(logits: &mut [f64], state: &SamplingState, mask: Option<&SimpleVob>) {
    let parameters = &state.parameters;
    for (token, bias) in &parameters.logit_bias {
        logits[*token as usize] += bias;
    }
    if let Some(tokens) = &parameters.allowed_tokens {
        keep_only(logits, tokens);
    }
    if let Some(mask) = mask {
        apply(mask, logits);
    }
    for token in state.forbidden() {
        logits[token as usize] = f64::NEG_INFINITY;
    }
    let penalty = parameters.repetition_penalty;
    if penalty != 1.0 {
        for token in &state.seen {
            let logit = &mut logits[*token as usize];
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
        }
    }
    if has_output_penalty(state) {
        for (token, count) in &state.counts {
            logits[*token as usize] -=
                parameters.presence_penalty + parameters.frequency_penalty * f64::from(*count);
        }
    }
}

/// Draws a token from adjusted logits, of which one is above −∞: top_n_sigma, temperature, min_p, top_k, top_p and a
/// draw.
pub fn draw(logits: &[f64], state: &SamplingState, candidates: &mut Candidates) -> u32 {
    let parameters = &state.parameters;
    // The steps before top_k keep the order, so it can go first and save exponentials.
    if parameters.top_k > 0.0 {
        candidates.load_highest(logits, parameters.top_k as usize);
    } else if state.has_grammar() {
        candidates.load_possible(logits);
    } else {
        candidates.load(logits);
    }
    if parameters.top_n_sigma > 0.0 {
        candidates.keep_at_least(highest_f64(logits) - parameters.top_n_sigma * deviation(logits));
    }
    candidates.weigh(parameters.temperature, logits.len());
    if parameters.min_p > 0.0 {
        candidates.keep_likely(parameters.min_p);
    }
    if parameters.top_p < 1.0 {
        candidates.keep_nucleus(parameters.top_p);
    }
    candidates.draw(uniform(parameters.seed.into(), state.position()))
}

vectorized! {
    /// Standard deviation of the logits above −∞.
    pub fn deviation(logits: &[f64]) -> f64 {
        let count = sum(logits, |_| 1.0);
        let mean = sum(logits, |logit| logit) / count;
        let squares = sum(logits, |logit| (logit - mean) * (logit - mean));
        (squares / count).sqrt()
    }
}

/// Sum over the logits above −∞, in the lanes of src/sampling/sampler.ts.
#[inline(always)]
fn sum(logits: &[f64], term: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; 8];
    let mut add = |logits: &[f64]| {
        for (lane, logit) in lanes.iter_mut().zip(logits) {
            *lane += if *logit > f64::NEG_INFINITY { term(*logit) } else { 0.0 };
        }
    };
    let (chunks, rest) = logits.as_chunks::<8>();
    chunks.iter().for_each(|chunk| add(chunk));
    add(rest);
    lanes.iter().fold(0.0, |total, lane| total + lane)
}

fn apply(mask: &SimpleVob, logits: &mut [f64]) {
    let mut words = mask.as_slice().iter();
    for chunk in logits.chunks_mut(u32::BITS as usize) {
        match words.next().copied().unwrap_or(0) {
            0 => chunk.fill(f64::NEG_INFINITY),
            word => {
                let forbidden = chunk.iter_mut().enumerate().filter(|(bit, _)| word >> bit & 1 == 0);
                forbidden.for_each(|(_, logit)| *logit = f64::NEG_INFINITY);
            }
        }
    }
}

fn has_output_penalty(state: &SamplingState) -> bool {
    state.parameters.presence_penalty != 0.0 || state.parameters.frequency_penalty != 0.0
}

fn keep_only(logits: &mut [f64], tokens: &[u32]) {
    let kept: Vec<f64> = tokens.iter().map(|token| logits[*token as usize]).collect();
    logits.fill(f64::NEG_INFINITY);
    for (token, logit) in tokens.iter().zip(kept) {
        logits[*token as usize] = logit;
    }
}
