use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use llguidance::Matcher;
use llguidance::toktrie::{SimpleVob, TokEnv, TokTrie};

use super::place::Place;
use super::source::Source;
use super::vocabulary::Vocabulary;
use super::words::in_words;
use crate::memory;

/// A grammar compiled for a model. Any thread can find it by its id while somebody holds it.
pub struct Grammar {
    pub id: u32,
    /// Memory it takes, in bytes.
    pub bytes: usize,
    beginning: Mutex<Matcher>,
    /// The tokens a completion may begin with.
    pub first: SimpleVob,
    /// None: the grammar says what may come from the first token on.
    pub trigger: Option<Trigger>,
    tokens: TokEnv,
}

/// The bytes that end free text.
pub struct Trigger {
    pub bytes: Vec<u8>,
    /// Only the beginning of a text is a trigger.
    pub is_at_start: bool,
    /// The tokens that free text may have, if a token contains the trigger and what the grammar does not allow.
    pub mask: Option<SimpleVob>,
}

impl Trigger {
    fn new(bytes: Vec<u8>, is_at_start: bool, first: &SimpleVob, trie: &TokTrie) -> Self {
        let mut mask: Option<SimpleVob> = None;
        for token in 0..trie.vocab_size() as u32 {
            let text = trie.token(token);
            let has_trigger = if is_at_start { text.starts_with(&bytes) } else { contains(text, &bytes) };
            if has_trigger && !first.is_allowed(token) {
                let all = || {
                    let mut all = first.clone();
                    all.set_all(true);
                    all
                };
                mask.get_or_insert_with(all).disallow_token(token);
            }
        }
        Self { bytes, is_at_start, mask }
    }
}

pub fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

static GRAMMARS: Mutex<Option<HashMap<u32, Weak<Grammar>>>> = Mutex::new(None);
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

pub fn find_grammar(id: u32) -> Option<Arc<Grammar>> {
    GRAMMARS.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&id)?.upgrade()
}

/// Compiles a source and finds its first tokens. Both can take any amount of time, memory and stack. The error message
/// says what is wrong with the source, for clients.
pub fn parse(vocabulary: &Vocabulary, source: Source) -> Result<(Matcher, SimpleVob), String> {
    let mut matcher = vocabulary.compile(source).map_err(|error| in_words(&error))?;
    let first = matcher.compute_mask_or_eos().map_err(|error| in_words(&error.to_string()))?;
    Ok((matcher, first))
}

impl Grammar {
    /// The error message says what is wrong with the source, for clients.
    pub fn compile(vocabulary: &Vocabulary, source: Source) -> Result<Arc<Self>, String> {
        vocabulary.prepare()?;
        let trigger = source.trigger().map(|(text, is_at_start)| (vocabulary.written(text), is_at_start));
        let before = memory::held();
        let (beginning, first) = parse(vocabulary, source)?;
        let tokens = beginning.tok_env().map_err(|error| in_words(&error.to_string()))?;
        let trigger =
            trigger.map(|(bytes, is_at_start)| Trigger::new(bytes, is_at_start, &first, tokens.tok_trie()));
        let bytes = (memory::held() - before).max(0) as usize;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let grammar = Arc::new(Self { id, bytes, beginning: Mutex::new(beginning), first, trigger, tokens });
        let mut grammars = GRAMMARS.lock().unwrap_or_else(PoisonError::into_inner);
        grammars.get_or_insert_default().insert(id, Arc::downgrade(&grammar));
        Ok(grammar)
    }

    pub fn bytes_of(&self, token: u32) -> &[u8] {
        self.tokens.tok_trie().token(token)
    }

    /// The place of a completion without tokens.
    pub fn begin(self: Arc<Self>) -> Place {
        Place::new(self)
    }

    /// A separate matcher for one completion. It shares no mutable state.
    pub fn matcher(&self) -> Matcher {
        self.beginning.lock().unwrap_or_else(PoisonError::into_inner).deep_clone()
    }
}

impl Drop for Grammar {
    fn drop(&mut self) {
        let mut grammars = GRAMMARS.lock().unwrap_or_else(PoisonError::into_inner);
        grammars.get_or_insert_default().remove(&self.id);
    }
}
