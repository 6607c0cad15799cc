use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{Int32Array, Object, ObjectFinalize, Uint8Array};
use napi_derive::napi;

use super::blocking::on_thread;
use crate::grammar::{
    COMPILE_STACK, Grammar, Source, TRIAL_STACK, Thread, Verdict, Vocabulary, end_trial, find_vocabulary,
    forget_vocabulary, keep_vocabulary, try_source,
};
use crate::memory::give_back_memory;
use crate::ort::{Error, Result};

/// Keeps the concatenated bytes of a model's tokens for grammars compiled on any thread.
#[napi]
pub fn keep_token_bytes(model: String, bytes: Uint8Array, lengths: Int32Array, end_tokens: Vec<u32>) {
    let mut rest: &[u8] = &bytes;
    let words = lengths.iter().map(|length| {
        let (word, others) = rest.split_at((*length as usize).min(rest.len()));
        rest = others;
        word
    });
    keep_vocabulary(model, Vocabulary::new(words, end_tokens));
}

/// Frees what `keep_token_bytes` keeps for the model, once no grammar uses it.
#[napi]
pub fn forget_token_bytes(model: String) {
    forget_vocabulary(&model);
}

/// The arguments of `keep_token_bytes`.
#[napi(object)]
pub struct NativeTokenBytes {
    pub bytes: Uint8Array,
    pub lengths: Int32Array,
    pub end_tokens: Vec<u32>,
}

#[napi]
pub fn kept_token_bytes(model: String) -> napi::Result<NativeTokenBytes> {
    let (bytes, lengths, end_tokens) = vocabulary(&model)?.parts();
    Ok(NativeTokenBytes { bytes: bytes.into(), lengths: lengths.into(), end_tokens })
}

/// Changes with each call of `keep_token_bytes` for the model.
#[napi]
pub fn vocabulary_number(model: String) -> napi::Result<u32> {
    Ok(vocabulary(&model)?.number)
}

/// Exactly one field is set, next to those that belong to it.
#[napi(object)]
pub struct NativeGrammarSource {
    pub json: Option<String>,
    /// With `json`: no keyword may be left out.
    pub is_strict: Option<bool>,
    pub regex: Option<String>,
    pub choice: Option<Vec<String>>,
    pub lark: Option<String>,
    /// With `lark`: text is free until it contains this.
    pub trigger: Option<String>,
    /// With `trigger`: only the beginning of a text is one.
    pub is_at_start: Option<bool>,
}

/// A compiled grammar. Samplings refer to it by its id while this object lives.
#[napi(custom_finalize)]
pub struct NativeGrammar {
    grammar: Arc<Grammar>,
}

/// JavaScript knows the memory of grammars, so that it collects unused ones before they take too much.
impl ObjectFinalize for NativeGrammar {
    fn finalize(self, env: Env) -> napi::Result<()> {
        env.adjust_external_memory(-(self.grammar.bytes as i64)).map(|_| ())
    }
}

#[napi]
impl NativeGrammar {
    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.grammar.id
    }

    /// Memory it takes, in bytes.
    #[napi(getter)]
    pub fn bytes(&self) -> f64 {
        self.grammar.bytes as f64
    }
}

/// Compiles a source that has passed a trial: nothing can stop the compilation. The error message is for clients.
#[napi]
pub fn compile_grammar(env: &Env, model: String, source: NativeGrammarSource) -> napi::Result<Object<'_>> {
    let (vocabulary, source) = (vocabulary(&model)?, source.read()?);
    let work = move || {
        Thread::current().lower_priority(5);
        let grammar = Grammar::compile(&vocabulary, source).map_err(Error);
        give_back_memory();
        grammar
    };
    on_thread(env, COMPILE_STACK, work, |env, grammar| {
        env.adjust_external_memory(grammar.bytes as i64)?;
        Ok(NativeGrammar { grammar })
    })
}

/// The result of a trial.
#[napi(object)]
pub struct NativeVerdict {
    /// `fit`, `refused`, `late` or `ended`.
    pub outcome: String,
    /// Why the source was refused, for clients.
    pub reason: String,
    /// CPU time it took, in milliseconds.
    pub ms: f64,
}

/// Tries a source in a fork of this process. `end_grammar_trial` ends the trial by its `number`.
#[napi]
pub fn try_grammar(
    env: &Env,
    number: u32,
    model: String,
    source: NativeGrammarSource,
) -> napi::Result<Object<'_>> {
    let (vocabulary, source) = (vocabulary(&model)?, source.read()?);
    let work = move || {
        let (verdict, time) = try_source(number, &vocabulary, source);
        let (outcome, reason) = match verdict {
            Verdict::Fit => ("fit", String::new()),
            Verdict::Refused(reason) => ("refused", reason),
            Verdict::Late => ("late", String::new()),
            Verdict::Ended => ("ended", String::new()),
        };
        Ok(NativeVerdict { outcome: outcome.into(), reason, ms: time.as_secs_f64() * 1e3 })
    };
    on_thread(env, TRIAL_STACK, work, |_, verdict| Ok(verdict))
}

#[napi]
pub fn end_grammar_trial(number: u32) {
    end_trial(number);
}

fn vocabulary(model: &str) -> Result<Arc<Vocabulary>> {
    find_vocabulary(model).ok_or_else(|| Error(format!("no vocabulary of {model} is kept")))
}

impl NativeGrammarSource {
    fn read(self) -> Result<Source> {
        let Self { json, is_strict, regex, choice, lark, trigger, is_at_start } = self;
        let of_schema = |schema| Source::Json { schema, is_strict: is_strict == Some(true) };
        let of_lark = |lark| match trigger {
            Some(trigger) => Source::Triggered { lark, trigger, is_at_start: is_at_start == Some(true) },
            None => Source::Lark(lark),
        };
        json.map(of_schema)
            .or(regex.map(Source::Regex))
            .or(choice.map(Source::Choice))
            .or(lark.map(of_lark))
            .ok_or_else(|| Error("no source".into()))
    }
}
