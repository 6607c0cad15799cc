use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use llguidance::Matcher;

use super::place::Place;
use super::source::Source;
use super::vocabulary::Vocabulary;

/// A grammar compiled for a model. It can be found by its id, from any thread, as long as somebody holds it.
pub struct Grammar {
    pub id: u32,
    beginning: Mutex<Matcher>,
}

static GRAMMARS: Mutex<Option<HashMap<u32, Weak<Grammar>>>> = Mutex::new(None);
static NEXT_ID: AtomicU32 = AtomicU32::new(1);

pub fn find_grammar(id: u32) -> Option<Arc<Grammar>> {
    GRAMMARS.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get(&id)?.upgrade()
}

impl Grammar {
    /// The error says, for clients, what is wrong with the source.
    pub fn compile(vocabulary: &Vocabulary, source: Source) -> Result<Arc<Self>, String> {
        let beginning = Mutex::new(vocabulary.compile(source)?);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let grammar = Arc::new(Self { id, beginning });
        let mut grammars = GRAMMARS.lock().unwrap_or_else(PoisonError::into_inner);
        grammars.get_or_insert_default().insert(id, Arc::downgrade(&grammar));
        Ok(grammar)
    }

    /// The place of a completion that has no token yet.
    pub fn begin(&self) -> Place {
        Place::new(self.beginning.lock().unwrap_or_else(PoisonError::into_inner).deep_clone())
    }
}

impl Drop for Grammar {
    fn drop(&mut self) {
        let mut grammars = GRAMMARS.lock().unwrap_or_else(PoisonError::into_inner);
        grammars.get_or_insert_default().remove(&self.id);
    }
}
