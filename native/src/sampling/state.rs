use std::collections::{HashMap, HashSet};

use super::request::{Parameters, SamplingRequest};

/// A completion's sampling request with the tokens chosen so far.
pub struct SamplingState {
    pub parameters: Parameters,
    /// How many alternatives to report with each token; None: no log probabilities at all.
    pub alternatives: Option<usize>,
    /// Distinct tokens of prompt and completion; the prompt's only where a repetition penalty asks for them.
    pub seen: HashSet<u32>,
    /// Occurrences in the completion.
    pub counts: HashMap<u32, u32>,
    output: Vec<u32>,
    end_tokens: Vec<u32>,
    min_tokens: usize,
}

impl SamplingState {
    pub fn new(request: SamplingRequest) -> Self {
        let SamplingRequest { parameters, prompt_tokens, end_tokens, min_tokens, logprobs } = request;
        let seen = if parameters.repetition_penalty == 1.0 {
            HashSet::new()
        } else {
            HashSet::from_iter(prompt_tokens)
        };
        Self {
            parameters,
            alternatives: logprobs,
            seen,
            counts: HashMap::new(),
            output: Vec::new(),
            end_tokens,
            min_tokens,
        }
    }

    /// Place of the next token in the completion, from 0.
    pub fn position(&self) -> usize {
        self.output.len()
    }

    /// Tokens that may not come next: they would end the completion too soon, or complete a bad word.
    pub fn forbidden(&self) -> impl Iterator<Item = u32> {
        let ends: &[u32] = if self.position() < self.min_tokens { &self.end_tokens } else { &[] };
        let completed = self.parameters.bad_words.iter().filter_map(|word| {
            let (last, beginning) = word.split_last()?;
            self.output.ends_with(beginning).then_some(*last)
        });
        ends.iter().copied().chain(completed)
    }

    pub fn record(&mut self, token: u32) {
        self.output.push(token);
        self.seen.insert(token);
        *self.counts.entry(token).or_default() += 1;
    }
}
