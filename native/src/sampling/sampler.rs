use std::time::Instant;

use llguidance::toktrie::SimpleVob;

use super::candidates::Candidates;
use super::fault::Fault;
use super::logprobs::{Logprobs, logprobs};
use super::parameters::{adjust, draw, is_neutral};
use super::scan::{highest_f64, place_of_highest, take_finite};
use super::state::SamplingState;

#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    pub token: u32,
    pub logprobs: Option<Logprobs>,
}

/// Chooses next tokens like src/sampling/sampler.ts. Its arrays are as long as the vocabulary and reused for each
/// token.
#[derive(Default)]
pub struct Sampler {
    logits: Vec<f64>,
    candidates: Candidates,
}

impl Sampler {
    /// Chooses the next token and records it in `state`. Waits for a grammar until `until`.
    pub fn sample(
        &mut self,
        raw: &[f32],
        state: &mut SamplingState,
        until: Instant,
    ) -> Result<Sampled, Fault> {
        let mask = state.allowed_by_grammar(until)?;
        let token = self.choose(raw, state, mask.as_ref())? as u32;
        let logprobs = state.alternatives.map(|alternatives| logprobs(raw, token, alternatives));
        state.record(token)?;
        Ok(Sampled { token, logprobs })
    }

    fn choose(
        &mut self,
        raw: &[f32],
        state: &SamplingState,
        mask: Option<&SimpleVob>,
    ) -> Result<usize, Fault> {
        let is_greedy = state.parameters.temperature == 0.0;
        if is_greedy && is_neutral(state) {
            return place_of_highest(raw).ok_or_else(|| first_non_finite(raw));
        }
        self.logits.resize(raw.len(), 0.0);
        if !take_finite(raw, &mut self.logits) {
            return Err(first_non_finite(raw));
        }
        adjust(&mut self.logits, state, mask);
        let highest = highest_f64(&self.logits);
        if highest == f64::NEG_INFINITY {
            return Err(Fault::NoTokenAllowed);
        }
        Ok(if is_greedy {
            place_of(highest, &self.logits)
        } else {
            draw(&self.logits, state, &mut self.candidates) as usize
        })
    }
}

fn place_of(value: f64, values: &[f64]) -> usize {
    values.iter().position(|other| *other == value).expect("the value is one of them")
}

/// Refuses logits of which one is infinite or not a number.
pub fn require_finite(logits: &[f32]) -> Result<(), Fault> {
    place_of_highest(logits).map(|_| ()).ok_or_else(|| first_non_finite(logits))
}

fn first_non_finite(raw: &[f32]) -> Fault {
    let (token, value) = raw.iter().enumerate().find(|(_, value)| !value.is_finite()).expect("there is one");
    Fault::NonFiniteLogit { token, value: *value }
}

#[cfg(test)]
mod tests {
    use super::super::SamplingRequest;
    use super::super::parameters::Parameters;
    use super::*;

    fn state(temperature: f64, allowed_tokens: Option<Vec<u32>>) -> SamplingState {
        SamplingState::new(
            SamplingRequest {
                parameters: Parameters {
                    temperature,
                    top_p: 1.0,
                    repetition_penalty: 1.0,
                    allowed_tokens,
                    ..Parameters::default()
                },
                prompt_tokens: Vec::new(),
                end_tokens: vec![0],
                min_tokens: 1,
                logprobs: Some(1),
            },
            None,
        )
    }

    #[test]
    fn greedy_takes_the_first_of_the_highest() {
        let mut state = state(0.0, None);
        let sampled = Sampler::default().sample(&[9.0, 3.0, 7.0, 7.0], &mut state, Instant::now()).unwrap();
        assert_eq!(sampled.token, 2);
        assert_eq!(sampled.logprobs.unwrap().top[0].0, 0);
        assert_eq!(state.position(), 1);
    }

    #[test]
    fn refuses_what_it_cannot_choose_from() {
        for temperature in [0.0, 1.0] {
            let mut sampler = Sampler::default();
            let nan = sampler.sample(&[0.0, f32::NAN, 1.0], &mut state(temperature, None), Instant::now());
            assert!(matches!(nan, Err(Fault::NonFiniteLogit { token: 1, value }) if value.is_nan()));
            let none = sampler.sample(&[0.0; 20], &mut state(temperature, Some(vec![0])), Instant::now());
            assert_eq!(none, Err(Fault::NoTokenAllowed));
        }
    }

    #[test]
    fn names_the_first_logit_that_is_no_number() {
        assert_eq!(require_finite(&[0.0, -1.0]), Ok(()));
        let fault = require_finite(&[0.0, f32::INFINITY, f32::NAN]);
        assert_eq!(fault, Err(Fault::NonFiniteLogit { token: 1, value: f32::INFINITY }));
    }
}
