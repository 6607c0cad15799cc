use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use llguidance::toktrie::SimpleVob;
use llguidance::{CancellationHandle, Matcher};

use super::compiled::{Grammar, Trigger, contains};
use super::threads::Thread;
use super::words::in_words;
use crate::memory;

/// Stack size in bytes: more than any step of a trial has on `TRIAL_STACK`.
const STACK: usize = 16 << 20;
/// Maximum CPU time of one search for the next tokens. Beyond it the completion fails.
const MAX_TIME: Duration = Duration::from_millis(300);
/// Searches longer than this yield to everything else and to each other.
const SLOW_TIME: Duration = Duration::from_millis(50);
/// Maximum memory of one completion's parser, in bytes.
const MAX_BYTES: isize = 64 << 20;
/// When a completion leaves more bytes than this, the allocator returns free memory to the system.
const WORTH_GIVING_BACK: isize = 4 << 20;
/// The one slow search that may run holds this lock.
static SLOW_LANE: Mutex<()> = Mutex::new(());

/// A completion's place in its grammar. A separate thread consumes each token and finds the allowed next tokens while
/// the model computes. So a grammar cannot hold up a model's step or overflow another thread's stack.
///
/// While a text is free and cannot be within its trigger, there is no thread, and every token is allowed.
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
}

enum Tail {
    Free,
    /// It may end within the trigger.
    Open,
    /// It contains the trigger.
    Triggered,
}

impl FreeText {
    fn add(&mut self, bytes: &[u8], trigger: &[u8]) -> Tail {
        self.tail.extend_from_slice(bytes);
        if contains(&self.tail, trigger) {
            return Tail::Triggered;
        }
        let longest = self.tail.len().min(trigger.len() - 1);
        let open = (1..=longest).rev().find(|length| self.tail.ends_with(&trigger[..*length]));
        self.tail.drain(..self.tail.len() - open.unwrap_or(0));
        if open.is_some() { Tail::Open } else { Tail::Free }
    }
}

struct Follower {
    tokens: Sender<u32>,
    progress: Arc<Progress>,
    /// An earlier call already waited for the next tokens, in vain.
    is_late: bool,
}

struct Progress {
    next: Mutex<(Next, SimpleVob)>,
    changed: Condvar,
    cancellation: OnceLock<CancellationHandle>,
    is_over: AtomicBool,
    is_slow: AtomicBool,
    thread: OnceLock<Thread>,
}

/// The state of the search for the next tokens.
enum Next {
    Waits,
    /// The search runs. Holds the thread's CPU time at its start.
    Sought(Duration),
    /// The mask next to it holds the result. Only the thread writes the mask, so that it frees what it has allocated.
    Known,
    Failed(String),
}

impl Place {
    pub fn new(grammar: Arc<Grammar>) -> Self {
        let free = grammar.trigger.is_some().then(FreeText::default);
        Self { grammar, follower: None, free }
    }

    /// Whether the grammar allows every token next.
    pub fn is_free(&self) -> bool {
        self.free_trigger().is_some_and(|trigger| trigger.mask.is_none())
    }

    /// The trigger of a text that cannot be within it.
    fn free_trigger(&self) -> Option<&Trigger> {
        self.grammar.trigger.as_ref().filter(|_| self.free.is_some() && self.follower.is_none())
    }

    /// The tokens that may come next, with end tokens if the grammar may end. None if they are not known by `until`.
    pub fn allowed(&mut self, until: Instant) -> Result<Option<SimpleVob>, String> {
        if let Some(Trigger { mask: Some(mask), .. }) = self.free_trigger() {
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
            match free.add(bytes, &trigger.bytes) {
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
        follower.is_late = false;
        follower.progress.next().0 = Next::Waits;
        // If the thread is gone, it has left the reason in `progress`.
        let _ = follower.tokens.send(token);
        Ok(())
    }
}

impl Follower {
    fn start(grammar: &Arc<Grammar>) -> Result<Self, String> {
        let (tokens, orders) = mpsc::channel();
        let progress = Arc::new(Progress {
            next: Mutex::new((Next::Waits, grammar.first.clone())),
            changed: Condvar::new(),
            cancellation: OnceLock::new(),
            is_over: AtomicBool::new(false),
            is_slow: AtomicBool::new(false),
            thread: OnceLock::new(),
        });
        let (grammar, own) = (grammar.clone(), progress.clone());
        thread::Builder::new()
            .name("grammar".into())
            .stack_size(STACK)
            .spawn(move || own.run(&grammar, &orders))
            .map_err(|error| format!("no thread can be started for it ({error}); try again later"))?;
        Ok(Self { tokens, progress, is_late: false })
    }

    fn allowed(&mut self, until: Instant) -> Result<Option<SimpleVob>, String> {
        let progress = &self.progress;
        let mut next = progress.next();
        loop {
            match &next.0 {
                Next::Known => return Ok(Some(next.1.clone())),
                Next::Failed(reason) => return Err(reason.clone()),
                Next::Sought(since) if progress.time_since(*since) > MAX_TIME => {
                    progress.end();
                    let limit = MAX_TIME.as_millis();
                    return Err(format!(
                        "to find what may come next takes more than {limit} ms; simplify the grammar"
                    ));
                }
                Next::Sought(since) if progress.time_since(*since) > SLOW_TIME => progress.give_way(),
                Next::Sought(_) | Next::Waits => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if self.is_late || left.is_zero() {
                self.is_late = true;
                return Ok(None);
            }
            (next, _) = progress.changed.wait_timeout(next, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.progress.end();
    }
}

impl Progress {
    fn next(&self) -> MutexGuard<'_, (Next, SimpleVob)> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread, whose work is no longer needed, as soon as llguidance checks for cancellation.
    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(cancellation) = self.cancellation.get() {
            cancellation.cancel();
        }
    }

    fn give_way(&self) {
        if !self.is_slow.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.lower_priority(19);
        }
    }

    /// CPU time that the thread has used beyond `since`.
    fn time_since(&self, since: Duration) -> Duration {
        let time = self.thread.get().and_then(Thread::time).unwrap_or_default();
        time.saturating_sub(since)
    }

    /// The body of the thread.
    fn run(&self, grammar: &Grammar, tokens: &Receiver<u32>) {
        let _ = self.thread.set(Thread::current());
        let before = memory::held();
        let most = self.follow(grammar, tokens);
        if most - before > WORTH_GIVING_BACK {
            memory::give_back_memory();
        }
    }

    /// Consumes tokens until the place is gone or something fails. Returns the memory held at the end.
    fn follow(&self, grammar: &Grammar, tokens: &Receiver<u32>) -> isize {
        let before = memory::held();
        let mut matcher = grammar.matcher().into_cancellable();
        let _ = self.cancellation.set(matcher.cancellation_handle().unwrap_or_default());
        while let Ok(token) = tokens.recv() {
            if self.is_over.load(Ordering::Acquire) {
                break;
            }
            let slow = self.is_slow.load(Ordering::Acquire).then(|| SLOW_LANE.lock());
            self.next().0 = Next::Sought(self.time_since(Duration::ZERO));
            let mask = go_on(&mut matcher, token);
            drop(slow);
            let found = match mask {
                Ok(_) if memory::held() - before > MAX_BYTES => {
                    Err(format!("it takes more than {} MiB of memory; simplify the grammar", MAX_BYTES >> 20))
                }
                other => other,
            };
            let mut next = self.next();
            match &found {
                Ok(mask) => {
                    next.1.set_from(mask);
                    next.0 = Next::Known;
                }
                Err(reason) => next.0 = Next::Failed(reason.clone()),
            }
            drop(next);
            self.changed.notify_all();
            if found.is_err() {
                break;
            }
        }
        memory::held()
    }
}

fn go_on(matcher: &mut Matcher, token: u32) -> Result<SimpleVob, String> {
    if !matcher.is_stopped() {
        matcher.consume_token(token).map_err(|error| in_words(&error.to_string()))?;
    }
    matcher.compute_mask_or_eos().map_err(|error| in_words(&error.to_string()))
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
        Vocabulary::new(words, vec![256])
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

    fn calls() -> Source {
        let lark = "start: TEXT | opening \"(\" /[0-9]/ \")\"\nopening[lazy]: /(.|\\n)*<f>/\n\
                    TEXT: /(.|\\n)*/ & ~/(.|\\n)*<f>(.|\\n)*/";
        Source::Triggered { lark: lark.into(), trigger: "<f>".into() }
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
    fn no_token_leads_through_a_trigger_to_where_the_grammar_does_not_go() {
        let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        words.extend([&b"\xff</s>"[..], b"a<f>(1", b"<f>x"].map(<[u8]>::to_vec));
        let vocabulary = Vocabulary::new(words, vec![256]);
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
        assert!(!refused(Source::Json("{".into())).is_empty());
        assert!(!refused(Source::Json(r#"{"type":"nothing"}"#.into())).is_empty());
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
