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

/// A thread that consumes each token of a completion and finds the allowed next tokens while the model computes. So a
/// grammar cannot hold up a model's step or overflow another thread's stack.
pub struct Follower {
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

impl Follower {
    pub fn start(grammar: &Arc<Grammar>) -> Result<Self, String> {
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

    /// Consumes an allowed token.
    pub fn advance(&mut self, token: u32) {
        self.is_late = false;
        self.progress.next().0 = Next::Waits;
        // If the thread is gone, it has left the reason in `progress`.
        let _ = self.tokens.send(token);
    }

    /// The tokens that may come next. None if they are not known by `until`.
    pub fn allowed(&mut self, until: Instant) -> Result<Option<SimpleVob>, String> {
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
