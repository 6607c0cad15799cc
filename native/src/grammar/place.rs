use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use llguidance::toktrie::SimpleVob;
use llguidance::{CancellationHandle, Matcher};

use super::compiled::Grammar;
use super::threads::Thread;
use super::words::in_words;
use crate::memory;

/// More than any step of a trial has taken on `TRIAL_STACK`.
const STACK: usize = 16 << 20;
/// Processor time of one search for what may come next; the completion fails beyond.
const MAX_TIME: Duration = Duration::from_millis(300);
/// Searches longer than this give way to everything else, and to each other.
const SLOW_TIME: Duration = Duration::from_millis(50);
/// Most memory of one completion's parser.
const MAX_BYTES: isize = 64 << 20;
/// Memory left by a completion that the allocator should not keep.
const WORTH_GIVING_BACK: isize = 4 << 20;
/// Held by the one slow search that may run.
static SLOW_LANE: Mutex<()> = Mutex::new(());

/// How far a completion has come in its grammar. A thread of its own goes on by each token and finds what may come next
/// while the model computes; so no grammar holds up the step of a model, or overflows a stack that is not its own.
pub struct Place {
    grammar: Arc<Grammar>,
    /// Started with the first token.
    follower: Option<Follower>,
}

struct Follower {
    tokens: Sender<u32>,
    progress: Arc<Progress>,
    /// What may come next was waited for already, in vain.
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

/// How far the search for what may come next has come.
enum Next {
    Waits,
    /// Since the thread had spent that time on the processor.
    Sought(Duration),
    /// The mask beside it holds what was found. Only the thread writes it, so that it frees what it has allocated.
    Known,
    Failed(String),
}

impl Place {
    pub fn new(grammar: Arc<Grammar>) -> Self {
        Self { grammar, follower: None }
    }

    /// The tokens that may come next; end tokens where the grammar may end. None: it is not known by `until`.
    pub fn allowed(&mut self, until: Instant) -> Result<Option<SimpleVob>, String> {
        match &mut self.follower {
            None => Ok(Some(self.grammar.first.clone())),
            Some(follower) => follower.allowed(until),
        }
    }

    /// Goes on by a token that was allowed. An end token ends it, and so may stop tokens that are no part of it.
    pub fn advance(&mut self, token: u32) -> Result<(), String> {
        let follower = match &mut self.follower {
            Some(follower) => follower,
            None => self.follower.insert(Follower::start(&self.grammar)?),
        };
        follower.is_late = false;
        follower.progress.next().0 = Next::Waits;
        // A thread that is gone has left the reason.
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

    /// The thread's work is of no use any more: it ends as soon as llguidance looks.
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

    /// Processor time that the thread has spent since it had spent `since`.
    fn time_since(&self, since: Duration) -> Duration {
        let time = self.thread.get().and_then(Thread::time).unwrap_or_default();
        time.saturating_sub(since)
    }

    /// The life of the thread.
    fn run(&self, grammar: &Grammar, tokens: &Receiver<u32>) {
        let _ = self.thread.set(Thread::current());
        let before = memory::held();
        let most = self.follow(grammar, tokens);
        if most - before > WORTH_GIVING_BACK {
            memory::give_back_memory();
        }
    }

    /// Goes on by token after token until the place is gone, or something fails. Returns the memory held in the end.
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

    /// What may come next, however long it takes.
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

    /// What may follow `text`: tokens up to 255 as characters.
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
        // It is not waited for twice.
        let start = Instant::now();
        let later = place.allowed(start + Duration::from_secs(5));
        assert!(start.elapsed() < Duration::from_secs(1), "{later:?}");
        // In the end it fails, or is there: never silence.
        let outcome = allowed(&mut place);
        assert!(outcome.is_ok() || !outcome.unwrap_err().is_empty());
    }
}
