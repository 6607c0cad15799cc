use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};

use super::source::Source;

/// Maximum costs of client grammars, in llguidance's units.
const MOST_LEXER_STEPS_AT_START: u64 = 1_000_000;
const MOST_LEXER_STEPS_PER_MASK: u64 = 100_000;
const MOST_ITEMS_PER_MASK: usize = 20_000;
const MOST_SYMBOLS: usize = 100_000;
const MOST_LEXER_STATES: usize = 50_000;

/// The bytes of each token of a model. The first grammar prepares them for llguidance.
pub struct Vocabulary {
    /// Unique to this vocabulary.
    pub number: u32,
    /// The bytes of all tokens, one behind the other: an allocation for each would take five times as much.
    bytes: Vec<u8>,
    lengths: Vec<i32>,
    end_tokens: Vec<u32>,
    prepared: OnceLock<Result<ParserFactory, String>>,
}

static NEXT_NUMBER: AtomicU32 = AtomicU32::new(1);
static VOCABULARIES: Mutex<Option<HashMap<String, Arc<Vocabulary>>>> = Mutex::new(None);

/// Keeps the vocabulary of `model` for grammars compiled on any thread.
pub fn keep_vocabulary(model: String, vocabulary: Vocabulary) {
    let mut kept = VOCABULARIES.lock().unwrap_or_else(PoisonError::into_inner);
    kept.get_or_insert_default().insert(model, Arc::new(vocabulary));
}

pub fn forget_vocabulary(model: &str) {
    let mut kept = VOCABULARIES.lock().unwrap_or_else(PoisonError::into_inner);
    kept.get_or_insert_default().remove(model);
}

pub fn find_vocabulary(model: &str) -> Option<Arc<Vocabulary>> {
    VOCABULARIES.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(model).cloned()
}

impl Vocabulary {
    /// `words` has an empty entry for ids without a token. Special tokens begin with 0xFF, which no text does.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a [u8]>, end_tokens: Vec<u32>) -> Self {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
        for word in words {
            bytes.extend_from_slice(word);
            lengths.push(word.len() as i32);
        }
        bytes.shrink_to_fit();
        lengths.shrink_to_fit();
        Self { number, bytes, lengths, end_tokens, prepared: OnceLock::new() }
    }

    fn words(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        self.lengths.iter().map(move |length| {
            let (word, others) = rest.split_at(*length as usize);
            rest = others;
            word
        })
    }

    /// The concatenated bytes of all tokens, their lengths, and the end tokens.
    pub fn parts(&self) -> (Vec<u8>, Vec<i32>, Vec<u32>) {
        (self.bytes.clone(), self.lengths.clone(), self.end_tokens.clone())
    }

    /// The bytes of a text, or of the special token that is written so.
    pub fn written(&self, text: &str) -> Vec<u8> {
        let special = [b"\xff", text.as_bytes()].concat();
        if self.words().any(|word| word == special) { special } else { text.into() }
    }

    /// Prepares for grammars, once. Takes seconds for a large vocabulary.
    pub fn prepare(&self) -> Result<(), String> {
        self.factory().map(|_| ())
    }

    pub fn compile(&self, source: Source) -> Result<Matcher, String> {
        compile(self.factory()?, source)
    }

    fn factory(&self) -> Result<&ParserFactory, String> {
        let prepared = self.prepared.get_or_init(|| {
            let factory = self.make_factory()?;
            // Do now what llguidance sets up with its first grammar.
            compile(&factory, Source::Choice(vec!["a".into()]))?;
            Ok(factory)
        });
        prepared.as_ref().map_err(String::clone)
    }

    fn make_factory(&self) -> Result<ParserFactory, String> {
        let (Some(first), size) = (self.end_tokens.first(), self.lengths.len() as u32) else {
            return Err("the model has no end token".into());
        };
        let words: Vec<_> = self.words().map(<[u8]>::to_vec).collect();
        let trie = TokTrie::from(&TokRxInfo::new(size, *first), &words).with_eos_tokens(&self.end_tokens);
        let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let caps = InferenceCapabilities::default();
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&env, caps, &slices).map_err(|error| error.to_string())?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.initial_lexer_fuel = MOST_LEXER_STEPS_AT_START;
        limits.step_lexer_fuel = MOST_LEXER_STEPS_PER_MASK;
        limits.step_max_items = MOST_ITEMS_PER_MASK;
        limits.max_grammar_size = MOST_SYMBOLS;
        limits.max_lexer_states = MOST_LEXER_STATES;
        limits.verbose_errors = false;
        Ok(factory)
    }
}

fn compile(factory: &ParserFactory, source: Source) -> Result<Matcher, String> {
    let matcher = Matcher::new(factory.create_parser(source.grammar()?));
    match matcher.get_error() {
        None => Ok(matcher),
        Some(error) => Err(error),
    }
}
