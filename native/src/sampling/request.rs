use napi_derive::napi;

use super::parameters::Parameters;

/// SamplingRequest of src/sampling/sampling-request.ts, which documents each field.
#[derive(Debug, Clone)]
#[napi(object, object_to_js = false, use_nullable = true)]
pub struct SamplingRequest {
    pub parameters: Parameters,
    pub prompt_tokens: Vec<u32>,
    pub end_tokens: Vec<u32>,
    pub min_tokens: u32,
    pub logprobs: Option<u32>,
}

impl SamplingRequest {
    /// Every token that the request names, for a check against the vocabulary.
    pub fn tokens(&self) -> impl Iterator<Item = u32> {
        let parameters = &self.parameters;
        let lists = [&self.prompt_tokens, &self.end_tokens].into_iter();
        lists
            .chain(parameters.allowed_tokens.iter())
            .chain(parameters.bad_words.iter())
            .flatten()
            .copied()
            .chain(parameters.logit_bias.iter().map(|(token, _)| *token))
    }
}
