//! Structured output: what may come next under a JSON schema, a regular expression, a choice of texts or a grammar.
//! llguidance does the parsing; here are the model's vocabulary, the trial that a client's source has to pass in a
//! process of its own, the grammars compiled from those that did, and a completion's place in one of them.

mod compiled;
mod place;
mod source;
mod threads;
mod trial;
mod vocabulary;
mod words;

pub use compiled::{Grammar, find_grammar};
pub use place::Place;
pub use source::Source;
pub use threads::Thread;
pub use trial::{Verdict, end_trial, try_source};
pub use vocabulary::{Vocabulary, find_vocabulary, keep_vocabulary};

/// Stacks. What was tried on the small one runs on the others with room to spare.
pub const TRIAL_STACK: usize = 4 << 20;
pub const COMPILE_STACK: usize = 32 << 20;
