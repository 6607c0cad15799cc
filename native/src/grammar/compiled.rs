use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

use super::place::Place;
use super::source::Source;
use super::vocabulary::Vocabulary;
use super::words::in_words;
use crate::memory;

/// A grammar compiled for a model. It can be found by its id, from any thread, as long as somebody holds it.
pub struct Grammar {
    pub id: u32,
    /// Memory it takes.
    pub bytes: usize,
    beginning: Mutex<Matcher>,
    /// The tokens a completion may begin with.
    pub first: SimpleVob,
}

static GRAMMARS: Mutex<Option<HashMap<u32, Weak<Grammar>>>> = Mutex::new(None);
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

pub fn find_grammar(id: u32) -> Option<Arc<Grammar>> {
    GRAMMARS.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&id)?.upgrade()
}

/// Compiles a source and finds the tokens that come first: both can take any time, memory and stack.
/// The error says, for clients, what is wrong with the source.
pub fn parse(vocabulary: &Vocabulary, source: Source) -> Result<(Matcher, SimpleVob), String> {
    let mut matcher = vocabulary.compile(source).map_err(|error| in_words(&error))?;
    let first = matcher.compute_mask_or_eos().map_err(|error| in_words(&error.to_string()))?;
    Ok((matcher, first))
}

impl Grammar {
    /// The error says, for clients, what is wrong with the source.
    pub fn compile(vocabulary: &Vocabulary, source: Source) -> Result<Arc<Self>, String> {
        vocabulary.prepare()?;
        let before = memory::held();
        let (beginning, first) = parse(vocabulary, source)?;
        let bytes = (memory::held() - before).max(0) as usize;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let grammar = Arc::new(Self { id, bytes, beginning: Mutex::new(beginning), first });
        let mut grammars = GRAMMARS.lock().unwrap_or_else(PoisonError::into_inner);
        grammars.get_or_insert_default().insert(id, Arc::downgrade(&grammar));
        Ok(grammar)
    }

    /// The place of a completion that has no token yet.
    pub fn begin(self: Arc<Self>) -> Place {
        Place::new(self)
    }

    /// A matcher of its own for one completion: it shares nothing that changes.
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
