use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{ClassInstance, Float32Array};
use napi_derive::napi;

use crate::grammar::find_grammar;
use crate::ort::{Error, Result};
use crate::sampling::{
    Fault, Logprobs, RowSampler, Sampled, SamplingRequest, SamplingState, logprobs, rank, require_finite,
};

#[napi(object)]
pub struct NativeAlternative {
    pub token: u32,
    pub logprob: f64,
}

#[napi(object)]
pub struct NativeLogprobs {
    pub logprob: f64,
    pub top: Vec<NativeAlternative>,
}

#[napi(object)]
pub struct NativeScore {
    pub logprob: f64,
    pub top: Vec<NativeAlternative>,
    pub rank: u32,
}

/// A logit that is infinite or not a number.
#[napi(object)]
pub struct NativeBadLogit {
    pub token: u32,
    pub value: f64,
}

/// The chosen token, or why there is none: a bad logit, a fault of the grammar, or a late grammar. Nothing is set if
/// the request rules out every token.
#[napi(object, use_nullable = true)]
pub struct NativeChoice {
    pub token: Option<u32>,
    pub logprobs: Option<NativeLogprobs>,
    pub bad_logit: Option<NativeBadLogit>,
    pub grammar_fault: Option<String>,
    pub is_late: bool,
}

#[napi(object, use_nullable = true)]
pub struct NativePrefilled {
    pub sampled: Option<NativeChoice>,
    pub scores: Vec<NativeScore>,
    /// A logit of a scored row that is not finite. Then the other fields are empty.
    pub bad_logit: Option<NativeBadLogit>,
}

impl NativePrefilled {
    /// None if all rows are finite.
    pub fn bad(rows: &[f32], vocabulary: usize) -> Option<Self> {
        let fault = rows.chunks(vocabulary).find_map(|row| require_finite(row).err())?;
        let NativeChoice { bad_logit, .. } = Err(fault).into();
        Some(Self { sampled: None, scores: Vec::new(), bad_logit })
    }
}

/// The sampling state of one completion.
#[napi]
pub struct NativeSampling {
    #[napi(skip)]
    pub state: Mutex<SamplingState>,
}

#[napi]
impl NativeSampling {
    #[napi(constructor)]
    pub fn new(request: SamplingRequest, vocab_size: u32) -> napi::Result<Self> {
        let grammar = request.parameters.grammar.map(|id| {
            find_grammar(id).ok_or_else(|| Error(format!("the grammar {id} is not there any more")))
        });
        let place = grammar.transpose()?.map(|grammar| grammar.begin());
        if let Some(token) = request.tokens().find(|token| *token >= vocab_size) {
            return Err(Error(format!("token {token} of a vocabulary of {vocab_size}")).into());
        }
        Ok(Self { state: Mutex::new(SamplingState::new(request, place)) })
    }

    /// Whether no grammar restricts the next token.
    #[napi]
    pub fn is_free(&self) -> bool {
        !self.state.lock().unwrap_or_else(PoisonError::into_inner).has_grammar()
    }

    /// A sampling that chooses what this one would choose from the same logits, without its grammar and log
    /// probabilities. It advances on its own.
    #[napi]
    pub fn fork(&self) -> Self {
        Self { state: Mutex::new(self.state.lock().unwrap_or_else(PoisonError::into_inner).fork()) }
    }

    /// Frees what it holds before JavaScript collects it. Call this when no more tokens are wanted.
    #[napi]
    pub fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).end();
    }
}

/// A sampler without a model, for tests and benchmarks.
#[napi]
pub struct NativeRowSampler {
    sampler: RowSampler,
}

#[napi]
impl NativeRowSampler {
    #[napi(constructor)]
    pub fn new(threads: u32) -> Self {
        Self { sampler: RowSampler::new(threads as usize) }
    }

    /// Chooses one token per sampling. `logits` holds one row for each.
    #[napi]
    pub fn sample(
        &mut self,
        logits: Float32Array,
        samplings: Vec<ClassInstance<NativeSampling>>,
    ) -> Vec<Option<NativeChoice>> {
        let vocabulary = logits.len() / samplings.len();
        let states = samplings.iter().map(|sampling| Some(&sampling.state));
        let rows: Vec<_> = logits.chunks_exact(vocabulary).zip(states).collect();
        let choices = self.sampler.sample(&rows, Instant::now() + Duration::from_secs(1));
        choices.into_iter().map(|choice| choice.map(NativeChoice::from)).collect()
    }
}

/// Log probability and rank of `followers[i]` under row i of `logits`, with the `alternatives` most likely tokens.
pub fn scores(
    logits: &[f32],
    vocabulary: usize,
    followers: &[i32],
    alternatives: u32,
) -> Result<Vec<NativeScore>> {
    let score = |(logits, token): (&[f32], &i32)| {
        let token = u32::try_from(*token).ok().filter(|token| (*token as usize) < vocabulary);
        let token =
            token.ok_or_else(|| Error(format!("a follower outside the vocabulary of {vocabulary}")))?;
        let NativeLogprobs { logprob, top } = logprobs(logits, token, alternatives as usize).into();
        Ok(NativeScore { logprob, top, rank: rank(logits, token) as u32 })
    };
    logits.chunks(vocabulary).zip(followers).map(score).collect()
}

impl From<Logprobs> for NativeLogprobs {
    fn from(Logprobs { logprob, top }: Logprobs) -> Self {
        let top = top.into_iter().map(|(token, logprob)| NativeAlternative { token, logprob }).collect();
        Self { logprob, top }
    }
}

impl From<std::result::Result<Sampled, Fault>> for NativeChoice {
    fn from(choice: std::result::Result<Sampled, Fault>) -> Self {
        let none = Self { token: None, logprobs: None, bad_logit: None, grammar_fault: None, is_late: false };
        match choice {
            Ok(Sampled { token, logprobs }) => {
                Self { token: Some(token), logprobs: logprobs.map(Into::into), ..none }
            }
            Err(Fault::NoTokenAllowed) => none,
            Err(Fault::Late) => Self { is_late: true, ..none },
            Err(Fault::Grammar(reason)) => Self { grammar_fault: Some(reason), ..none },
            Err(Fault::NonFiniteLogit { token, value }) => {
                let bad_logit = NativeBadLogit { token: token as u32, value: f64::from(value) };
                Self { bad_logit: Some(bad_logit), ..none }
            }
        }
    }
}
