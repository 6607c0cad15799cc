/// SamplingParameters of src/sampling/sampling-request.ts, which documents each field.
#[derive(Debug, Clone)]
pub struct Parameters {
    pub temperature: f64,
    /// 0 is off.
    pub top_k: usize,
    pub top_p: f64,
    pub min_p: f64,
    pub repetition_penalty: f64,
    pub presence_penalty: f64,
    pub frequency_penalty: f64,
    pub logit_bias: Vec<(u32, f64)>,
    pub allowed_tokens: Option<Vec<u32>>,
    pub bad_words: Vec<Vec<u32>>,
    /// Low half first.
    pub seed: [u32; 2],
}

/// SamplingRequest of the same file.
#[derive(Debug, Clone)]
pub struct SamplingRequest {
    pub parameters: Parameters,
    pub prompt_tokens: Vec<u32>,
    pub end_tokens: Vec<u32>,
    pub min_tokens: usize,
    pub logprobs: Option<usize>,
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
