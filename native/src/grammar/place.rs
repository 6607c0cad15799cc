use std::sync::Arc;
use std::time::Instant;

use llguidance::toktrie::{SimpleVob, TokTrie};

use super::compiled::{Grammar, Trigger, contains};
use super::follower::Follower;

/// A completion's place in its grammar.
///
/// While a text is free and cannot be within its trigger, no thread follows it, and every token is allowed.
pub struct Place {
    grammar: Arc<Grammar>,
    /// Started with the first token that the grammar restricts.
    follower: Option<Follower>,
    /// None: the grammar has no trigger, or the text contains it.
    free: Option<FreeText>,
}

/// The end of a free text.
#[derive(Default)]
struct FreeText {
    /// The bytes at its end that may begin the trigger.
    tail: Vec<u8>,
    /// No trigger can follow.
    is_over: bool,
}

enum Tail {
    Free,
    /// It may end within the trigger.
    Open,
    /// It contains the trigger.
    Triggered,
}

impl FreeText {
    fn add(&mut self, bytes: &[u8], Trigger { bytes: trigger, is_at_start, .. }: &Trigger) -> Tail {
        if self.is_over {
            return Tail::Free;
        }
        if trigger[0] == TokTrie::SPECIAL_TOKEN_MARKER {
            return if bytes == trigger { Tail::Triggered } else { Tail::Free };
        }
        self.tail.extend_from_slice(bytes);
        if *is_at_start {
            self.is_over = !self.tail.starts_with(trigger) && !trigger.starts_with(&self.tail);
            return if self.is_over {
                Tail::Free
            } else if self.tail.len() < trigger.len() {
                Tail::Open
            } else {
                Tail::Triggered
            };
        }
        if contains(&self.tail, trigger) {
            return Tail::Triggered;
        }
        let longest = self.tail.len().min(trigger.len() - 1);
        let open = (1..=longest).rev().find(|length| self.tail.ends_with(&trigger[..*length]));
        self.tail.drain(..self.tail.len() - open.unwrap_or(0));
        if open.is_some() { Tail::Open } else { Tail::Free }
    }
}

impl Place {
    pub fn new(grammar: Arc<Grammar>) -> Self {
        let free = grammar.trigger.is_some().then(FreeText::default);
        Self { grammar, follower: None, free }
    }

    /// Whether the grammar allows every token next.
    pub fn is_free(&self) -> bool {
        matches!(self.free_mask(), Some(None))
    }

    /// The tokens that a text may have which cannot be within its trigger; None inside: all.
    fn free_mask(&self) -> Option<Option<&SimpleVob>> {
        let (free, trigger) = (self.free.as_ref()?, self.grammar.trigger.as_ref()?);
        self.follower.is_none().then(|| trigger.mask.as_ref().filter(|_| !free.is_over))
    }

    /// The tokens that may come next, with end tokens if the grammar may end. None if they are not known by `until`.
    pub fn allowed(&mut self, until: Instant) -> Result<Option<SimpleVob>, String> {
        if let Some(Some(mask)) = self.free_mask() {
            return Ok(Some(mask.clone()));
        }
        match &mut self.follower {
            None => Ok(Some(self.grammar.first.clone())),
            Some(follower) => follower.allowed(until),
        }
    }

    /// Consumes an allowed token. An end token ends the grammar; stop tokens outside the grammar may end it too.
    pub fn advance(&mut self, token: u32) -> Result<(), String> {
        if let (Some(free), Some(trigger)) = (&mut self.free, &self.grammar.trigger) {
            let bytes = self.grammar.bytes_of(token);
            match free.add(bytes, trigger) {
                Tail::Free => {
                    self.follower = None;
                    return Ok(());
                }
                // A grammar cannot begin with the rest of a character.
                _ if self.follower.is_none() && bytes.first().is_some_and(|byte| byte & 0xc0 == 0x80) => {
                    *free = FreeText::default();
                    return Ok(());
                }
                Tail::Open => {}
                Tail::Triggered => self.free = None,
            }
        }
        let follower = match &mut self.follower {
            Some(follower) => follower,
            None => self.follower.insert(Follower::start(&self.grammar)?),
        };
        follower.advance(token);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{Grammar, Source, Vocabulary};
    use super::*;

    /// The allowed next tokens, however long the search takes.
    fn allowed(place: &mut Place) -> Result<SimpleVob, String> {
        loop {
            if let Some(mask) = place.allowed(Instant::now() + Duration::from_secs(1))? {
                return Ok(mask);
            }
        }
    }

    /// A token for each byte, `</s>` (256), and a special token that reads like text.
    fn bytes() -> Vocabulary {
        let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        words.push(b"\xff</s>".to_vec());
        words.push(b"\xff<unk>".to_vec());
        Vocabulary::new(words.iter().map(Vec::as_slice), vec![256])
    }

    /// The tokens that may follow `text`; tokens up to 255 are bytes.
    fn after(source: Source, text: &str) -> Vec<u32> {
        let mut place = Grammar::compile(&bytes(), source).unwrap_or_else(|error| panic!("{error}")).begin();
        for byte in text.bytes() {
            assert!(allowed(&mut place).unwrap().is_allowed(u32::from(byte)), "{} in {text}", byte as char);
            place.advance(u32::from(byte)).unwrap();
        }
        allowed(&mut place).unwrap().to_list()
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
        let json = || Source::Json { schema: schema.into(), is_strict: true };
        assert_eq!(after(json(), ""), tokens("{"));
        assert_eq!(after(json(), "{\"a\":"), tokens("12"));
        assert_eq!(after(json(), "{\"a\":23}"), vec![256]);
    }

    #[test]
    fn keywords_that_no_grammar_can_enforce_are_left_out_unless_strict() {
        let schema =
            r#"{"type":"array","items":{"type":"string","format":"odd","not":{}},"uniqueItems":true}"#;
        assert_eq!(after(Source::Json { schema: schema.into(), is_strict: false }, "[\"a\","), tokens("\""));
    }

    #[test]
    fn regular_expressions_and_grammars() {
        assert_eq!(after(Source::Regex("[ab]{2}".into()), "a"), tokens("ab"));
        assert_eq!(after(Source::Lark("start: \"x\" start | \"y\"".into()), "xx"), tokens("xy"));
    }

    fn calls() -> Source {
        let lark = "start: TEXT | opening \"(\" /[0-9]/ \")\"\nopening[lazy]: /(.|\\n)*<f>/\n\
                    TEXT: /(.|\\n)*/ & ~/(.|\\n)*<f>(.|\\n)*/";
        Source::Triggered { lark: lark.into(), trigger: "<f>".into(), is_at_start: false }
    }

    /// Waits for the grammar before each byte, as the sampler does.
    fn write(place: &mut Place, text: &str) {
        for token in tokens(text) {
            assert!(place.is_free() || allowed(place).unwrap().is_allowed(token), "{token} in {text}");
            place.advance(token).unwrap();
        }
    }

    #[test]
    fn text_is_free_until_its_trigger() {
        let mut place = Grammar::compile(&bytes(), calls()).unwrap_or_else(|error| panic!("{error}")).begin();
        write(&mut place, "a < b <<\n");
        // Even what is no text.
        [200, 257].into_iter().for_each(|token| place.advance(token).unwrap());
        assert!(place.is_free());
        for (token, next) in [("<", "f"), ("f", ">"), (">", "(")] {
            place.advance(tokens(token)[0]).unwrap();
            assert!(!place.is_free());
            assert!(allowed(&mut place).unwrap().is_allowed(tokens(next)[0]));
        }
        assert_eq!(allowed(&mut place).unwrap().to_list(), tokens("("));
        write(&mut place, "(7)");
        assert_eq!(allowed(&mut place).unwrap().to_list(), vec![256]);
    }

    #[test]
    fn a_trigger_may_be_one_only_at_the_start() {
        let lark = "start: TEXT? | \"f {\" /[0-9]/\nTEXT: /(.|\\n)+/ & ~/f \\{(.|\\n)*/";
        let source = || Source::Triggered { lark: lark.into(), trigger: "f {".into(), is_at_start: true };
        let after = |text: &str| {
            let mut place =
                Grammar::compile(&bytes(), source()).unwrap_or_else(|error| panic!("{error}")).begin();
            write(&mut place, text);
            place
        };
        assert_eq!(allowed(&mut after("f {")).unwrap().to_list(), tokens("0123456789"));
        for text in ["", "x", "f (", " f {", "x f {"] {
            assert!(after(text).is_free(), "{text}");
        }
        let mut open = after("f ");
        assert!(!open.is_free() && allowed(&mut open).unwrap().is_allowed(256));
        open.advance(200).unwrap();
        assert!(open.is_free());
    }

    #[test]
    fn only_a_special_token_is_a_special_trigger() {
        let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        words.extend([&b"\xff</s>"[..], b"\xff[F]"].map(<[u8]>::to_vec));
        let lark = "start: TEXT? | TEXT? <[257]> \"(\"\nTEXT: /(.|\\n)+/";
        let source = Source::Triggered { lark: lark.into(), trigger: "[F]".into(), is_at_start: false };
        let grammar = Grammar::compile(&Vocabulary::new(words.iter().map(Vec::as_slice), vec![256]), source);
        let mut place = grammar.unwrap_or_else(|error| panic!("{error}")).begin();
        write(&mut place, "a [F] [F");
        // Even a byte that begins special tokens here.
        place.advance(255).unwrap();
        assert!(place.is_free());
        place.advance(257).unwrap();
        assert_eq!(allowed(&mut place).unwrap().to_list(), tokens("("));
    }

    #[test]
    fn no_token_leads_through_a_trigger_to_where_the_grammar_does_not_go() {
        let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        words.extend([&b"\xff</s>"[..], b"a<f>(1", b"<f>x"].map(<[u8]>::to_vec));
        let vocabulary = Vocabulary::new(words.iter().map(Vec::as_slice), vec![256]);
        let mut place =
            Grammar::compile(&vocabulary, calls()).unwrap_or_else(|error| panic!("{error}")).begin();
        assert!(!place.is_free());
        let mask = allowed(&mut place).unwrap();
        assert_eq!([120, 200, 257, 258].map(|token| mask.is_allowed(token)), [true, true, true, false]);
        place.advance(257).unwrap();
        assert_eq!(allowed(&mut place).unwrap().to_list(), tokens(")"));
    }

    #[test]
    fn free_text_may_end_anywhere_but_in_a_call() {
        let ends = |text: &str| {
            let mut place =
                Grammar::compile(&bytes(), calls()).unwrap_or_else(|error| panic!("{error}")).begin();
            write(&mut place, text);
            place.is_free() || allowed(&mut place).unwrap().is_allowed(256)
        };
        assert!(ends("") && ends("a <") && ends("<f") && ends("<g>"));
        assert!(!ends("a <f>") && !ends("<f>(1"));
    }

    #[test]
    fn says_what_cannot_be_compiled() {
        let refused = |source| Grammar::compile(&bytes(), source).err().expect("refused");
        let json = |schema: &str, is_strict| Source::Json { schema: schema.into(), is_strict };
        assert!(!refused(json("{", false)).is_empty());
        assert!(!refused(json(r#"{"type":"nothing"}"#, false)).is_empty());
        assert!(refused(json(r#"{"type":"array","uniqueItems":true}"#, true)).contains("uniqueItems"));
        assert!(!refused(Source::Regex("(".into())).is_empty());
        assert!(!refused(Source::Lark("start: missing".into())).is_empty());
    }

    #[test]
    fn the_first_tokens_are_there_at_once_and_later_ones_are_waited_for_no_longer_than_told() {
        let grammar = Grammar::compile(&bytes(), Source::Regex(format!("x({})", "a?".repeat(3000)))).unwrap();
        let mut place = grammar.begin();
        let start = Instant::now();
        assert!(place.allowed(start).unwrap().unwrap().is_allowed(u32::from(b'x')));
        place.advance(u32::from(b'x')).unwrap();
        let until = Instant::now() + Duration::from_millis(5);
        assert!(place.allowed(until).unwrap().is_none());
        assert!(Instant::now() >= until);
        // A second call does not wait.
        let start = Instant::now();
        let later = place.allowed(start + Duration::from_secs(5));
        assert!(start.elapsed() < Duration::from_secs(1), "{later:?}");
        // The search always ends with a result or an error.
        let outcome = allowed(&mut place);
        assert!(outcome.is_ok() || !outcome.unwrap_err().is_empty());
    }
}
