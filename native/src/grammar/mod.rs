//! Structured output: what may come next under a JSON schema, a regular expression, a choice of texts or a grammar.
//! llguidance does the parsing; here are the model's vocabulary, the grammars compiled for it, and a completion's
//! place in one of them.

mod compiled;
mod place;
mod source;
mod vocabulary;

pub use compiled::{Grammar, find_grammar};
pub use place::Place;
pub use source::Source;
pub use vocabulary::{Vocabulary, find_vocabulary, keep_vocabulary};
