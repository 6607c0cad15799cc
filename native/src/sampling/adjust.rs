use llguidance::toktrie::SimpleVob;

use super::state::SamplingState;

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
