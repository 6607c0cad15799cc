use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, Int32Array, Uint8Array};
use napi_derive::napi;

use super::blocking::{Blocking, blocking};
use crate::grammar::{Grammar, Source, Vocabulary, find_vocabulary, keep_vocabulary};
use crate::ort::Error;

/// Keeps the bytes of a model's tokens, one behind the other, for grammars compiled on any thread.
#[napi]
pub fn keep_token_bytes(model: String, bytes: Uint8Array, lengths: Int32Array, end_tokens: Vec<u32>) {
    let mut rest: &[u8] = &bytes;
    let words = lengths.iter().map(|length| {
        let (word, others) = rest.split_at((*length as usize).min(rest.len()));
        rest = others;
        word.to_vec()
    });
    keep_vocabulary(model, Vocabulary::new(words.collect(), end_tokens));
}

/// Exactly one of these.
#[napi(object)]
pub struct NativeGrammarSource {
    pub json: Option<String>,
    pub regex: Option<String>,
    pub choice: Option<Vec<String>>,
    pub lark: Option<String>,
}

/// A compiled grammar; samplings name it by its id, for as long as this lives.
#[napi]
pub struct NativeGrammar {
    grammar: Arc<Grammar>,
}

#[napi]
impl NativeGrammar {
    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.grammar.id
    }
}

/// The message of the error is for clients.
#[napi]
pub fn compile_grammar(model: String, source: NativeGrammarSource) -> AsyncTask<Blocking<NativeGrammar>> {
    blocking(move || {
        let NativeGrammarSource { json, regex, choice, lark } = source;
        let source = json
            .map(Source::Json)
            .or(regex.map(Source::Regex))
            .or(choice.map(Source::Choice))
            .or(lark.map(Source::Lark))
            .ok_or_else(|| Error("no source".into()))?;
        let vocabulary =
            find_vocabulary(&model).ok_or_else(|| Error(format!("no vocabulary of {model} is kept")))?;
        Ok(NativeGrammar { grammar: Grammar::compile(&vocabulary, source).map_err(Error)? })
    })
}
