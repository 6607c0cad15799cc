use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

use llguidance::toktrie::SimpleVob;

use super::fault::Fault;
use super::parameters::Parameters;
use super::request::SamplingRequest;
use crate::grammar::Place;

/// A completion's sampling request and the tokens chosen so far.
pub struct SamplingState {
    pub parameters: Parameters,
    /// How many alternatives to report with each token; None: no log probabilities.
    pub alternatives: Option<usize>,
    /// Distinct tokens of prompt and completion. Includes the prompt only if there is a repetition penalty.
    pub seen: HashSet<u32>,
    /// Occurrences of each token in the completion.
    pub counts: HashMap<u32, u32>,
    /// What a device keeps about it.
    pub kept: Option<Box<dyn Any + Send>>,
    output: Vec<u32>,
    /// The completion's place in its grammar, if it has one.
    place: Option<Place>,
    end_tokens: Vec<u32>,
    min_tokens: usize,
}

impl SamplingState {
    pub fn new(request: SamplingRequest, place: Option<Place>) -> Self {
        let SamplingRequest { parameters, prompt_tokens, end_tokens, min_tokens, logprobs } = request;
        let seen = if parameters.repetition_penalty == 1.0 {
            HashSet::new()
        } else {
            HashSet::from_iter(prompt_tokens)
        };
        Self {
            parameters,
            alternatives: logprobs.map(|alternatives| alternatives as usize),
            seen,
            counts: HashMap::new(),
            kept: None,
            output: Vec::new(),
            place,
            end_tokens,
            min_tokens: min_tokens as usize,
        }
    }

    /// The same state without a grammar and log probabilities, which advances on its own.
    pub fn fork(&self) -> Self {
        Self {
            parameters: self.parameters.clone(),
            alternatives: None,
            seen: self.seen.clone(),
            counts: self.counts.clone(),
            kept: None,
            output: self.output.clone(),
            place: None,
            end_tokens: self.end_tokens.clone(),
            min_tokens: self.min_tokens,
        }
    }

    /// The tokens chosen so far.
    pub fn output(&self) -> &[u32] {
        &self.output
    }

    /// Index of the next token in the completion, from 0.
    pub fn position(&self) -> usize {
        self.output.len()
    }

    /// Tokens that must not come next: they would end the completion too early or complete a bad word.
    pub fn forbidden(&self) -> impl Iterator<Item = u32> {
        let ends: &[u32] = if self.position() < self.min_tokens { &self.end_tokens } else { &[] };
        let completed = self.parameters.bad_words.iter().filter_map(|word| {
            let (last, beginning) = word.split_last()?;
            self.output.ends_with(beginning).then_some(*last)
        });
        ends.iter().copied().chain(completed)
    }

    /// Whether a grammar restricts the next token.
    pub fn has_grammar(&self) -> bool {
        self.place.as_ref().is_some_and(|place| !place.is_free())
    }

    /// The tokens that the grammar allows next; None: all. Fails with `Late` if they are not known by `until`.
    pub fn allowed_by_grammar(&mut self, until: Instant) -> Result<Option<SimpleVob>, Fault> {
        let Some(place) = self.place.as_mut().filter(|place| !place.is_free()) else { return Ok(None) };
        place.allowed(until).map_err(Fault::Grammar)?.ok_or(Fault::Late).map(Some)
    }

    /// Frees what the grammar and a device hold. Call this when no more tokens are wanted.
    pub fn end(&mut self) {
        self.place = None;
        self.kept = None;
    }

    pub fn record(&mut self, token: u32) -> Result<(), Fault> {
        self.output.push(token);
        self.seen.insert(token);
        *self.counts.entry(token).or_default() += 1;
        self.place.as_mut().map_or(Ok(()), |place| place.advance(token)).map_err(Fault::Grammar)
    }
}
