use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

/// How far a completion has come in its grammar.
pub struct Place {
    matcher: Matcher,
}

impl Place {
    pub fn new(matcher: Matcher) -> Self {
        Self { matcher }
    }

    /// The tokens that may come next; end tokens where the grammar may end.
    pub fn allowed(&mut self) -> Result<SimpleVob, String> {
        self.matcher.compute_mask_or_eos().map_err(|error| error.to_string())
    }

    /// Goes on by a token that was allowed. An end token ends it, and so may stop tokens that are no part of it.
    pub fn advance(&mut self, token: u32) -> Result<(), String> {
        if self.matcher.is_stopped() {
            return Ok(());
        }
        self.matcher.consume_token(token).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Grammar, Source, Vocabulary};

    /// A token for each byte, `</s>` (256), and a special token that reads like text.
    fn bytes() -> Vocabulary {
        let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        words.push(b"\xff</s>".to_vec());
        words.push(b"\xff<unk>".to_vec());
        Vocabulary::new(words, vec![256])
    }

    /// What may follow `text`: tokens up to 255 as characters.
    fn after(source: Source, text: &str) -> Vec<u32> {
        let mut place = Grammar::compile(&bytes(), source).unwrap_or_else(|error| panic!("{error}")).begin();
        for byte in text.bytes() {
            assert!(place.allowed().unwrap().is_allowed(u32::from(byte)), "{} in {text}", byte as char);
            place.advance(u32::from(byte)).unwrap();
        }
        place.allowed().unwrap().to_list()
    }

    fn tokens(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    #[test]
    fn choices_end_when_they_are_complete() {
        let choice = || Source::Choice(vec!["ja".into(), "ja\"wohl".into(), "nein".into()]);
        assert_eq!(after(choice(), ""), tokens("jn"));
        assert_eq!(after(choice(), "ja"), [tokens("\""), vec![256]].concat());
        assert_eq!(after(choice(), "nein"), vec![256]);
    }

    #[test]
    fn json_has_no_spaces_and_only_what_the_schema_names() {
        let schema = r#"{"type":"object","properties":{"a":{"enum":[1,23]}},"required":["a"],"additionalProperties":false}"#;
        let json = || Source::Json(schema.into());
        assert_eq!(after(json(), ""), tokens("{"));
        assert_eq!(after(json(), "{\"a\":"), tokens("12"));
        assert_eq!(after(json(), "{\"a\":23}"), vec![256]);
    }

    #[test]
    fn regular_expressions_and_grammars() {
        assert_eq!(after(Source::Regex("[ab]{2}".into()), "a"), tokens("ab"));
        assert_eq!(after(Source::Lark("start: \"x\" start | \"y\"".into()), "xx"), tokens("xy"));
    }

    #[test]
    fn says_what_cannot_be_compiled() {
        let refused = |source| Grammar::compile(&bytes(), source).err().expect("refused");
        assert!(!refused(Source::Json("{".into())).is_empty());
        assert!(!refused(Source::Json(r#"{"type":"nothing"}"#.into())).is_empty());
        assert!(!refused(Source::Regex("(".into())).is_empty());
        assert!(!refused(Source::Lark("start: missing".into())).is_empty());
    }
}
