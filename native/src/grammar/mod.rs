//! Structured output: the allowed next tokens under a JSON schema, a regular expression, a choice of texts or a
//! grammar. llguidance does the parsing. This module has the model's vocabulary, the trial that a client's source must
//! pass in a separate process, the grammars compiled from sources that passed, and a completion's place in a grammar.

mod compiled;
mod follower;
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
pub use vocabulary::{Vocabulary, find_vocabulary, forget_vocabulary, keep_vocabulary};

/// Stack sizes in bytes. A source that passes its trial on the small stack has room to spare on the others.
pub const TRIAL_STACK: usize = 4 << 20;
pub const COMPILE_STACK: usize = 32 << 20;
