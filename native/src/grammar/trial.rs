use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::source::Source;
use super::vocabulary::Vocabulary;

/// The result of a source's trial.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The source compiles within the limits of time, memory and stack.
    Fit,
    /// The source does not compile; the reason is for clients.
    Refused(String),
    /// The trial got too little CPU time within `MAX_WAIT`, or its process did not start.
    Late,
    /// `end_trial` was called.
    Ended,
}

/// Maximum CPU time, in milliseconds.
const MAX_TIME: u32 = 500;
/// Maximum wall time, in seconds.
const MAX_WAIT: u32 = 10;
const MAX_BYTES: usize = 128 << 20;

/// The processes of trials, by number; None: not started yet.
static TRIALS: Mutex<Option<HashMap<u32, Option<i32>>>> = Mutex::new(None);

/// Locks the table of trials. Processes are forked and reaped under this lock. So no process inherits another's pipe,
/// and every id in the table belongs to a process that is not yet reaped.
fn trials() -> MutexGuard<'static, Option<HashMap<u32, Option<i32>>>> {
    TRIALS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a trial early. Does nothing if the trial is already over.
pub fn end_trial(number: u32) {
    let mut trials = trials();
    if let Some(process) = trials.get_or_insert_default().remove(&number) {
        kill(process);
    }
}

/// Compiles a source and finds its first tokens in a separate process, where a grammar may run out of memory, time or
/// stack without harm. The process runs on this thread's stack, of `TRIAL_STACK` bytes.
///
/// The process is a fork of this one, so it already has the vocabulary. Call this in a process that does nothing else:
/// a lock that another thread holds at that moment stays locked for ever in the fork.
///
/// Returns the verdict and the CPU time that the trial took.
pub fn try_source(number: u32, vocabulary: &Vocabulary, source: Source) -> (Verdict, Duration) {
    trials().get_or_insert_default().insert(number, None);
    let tried = match vocabulary.prepare() {
        Ok(()) => attempt(number, vocabulary, source),
        Err(error) => (Verdict::Refused(error), Duration::ZERO),
    };
    trials().get_or_insert_default().remove(&number);
    tried
}

#[cfg(unix)]
use forked::{attempt, kill};

#[cfg(unix)]
mod forked {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::super::compiled::parse;
    use super::super::source::Source;
    use super::super::threads::Thread;
    use super::super::vocabulary::Vocabulary;
    use super::{MAX_BYTES, MAX_TIME, MAX_WAIT, Verdict, trials};
    use crate::memory;

    /// The first byte of the answer. A reason follows `REFUSED`.
    const FIT: u8 = b'+';
    const REFUSED: u8 = b'-';

    pub fn kill(process: Option<i32>) {
        if let Some(process) = process {
            // SAFETY: the process is a child of ours that is not yet reaped.
            unsafe { libc::kill(process, libc::SIGKILL) };
        }
    }

    pub fn attempt(number: u32, vocabulary: &Vocabulary, source: Source) -> (Verdict, Duration) {
        let (process, mut answer) = match fork(number, vocabulary, source) {
            Ok(Some(forked)) => forked,
            Ok(None) => return (Verdict::Ended, Duration::ZERO),
            Err(_) => return (Verdict::Late, Duration::ZERO),
        };
        let mut said = Vec::new();
        let _ = answer.read_to_end(&mut said);
        let mut trials = trials();
        let was_ended = trials.get_or_insert_default().remove(&number).is_none();
        let mut status = 0;
        // SAFETY: zeros are a valid `rusage`. The child has closed its end of the pipe, so it exits or has exited.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::wait4(process, &raw mut status, 0, &raw mut usage);
            usage
        };
        drop(trials);
        let time = duration(usage.ru_utime) + duration(usage.ru_stime);
        (if was_ended { Verdict::Ended } else { verdict(&said, status) }, time)
    }

    fn duration(time: libc::timeval) -> Duration {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    }

    /// The process and the pipe with its answer; None if the trial was ended before.
    fn fork(number: u32, vocabulary: &Vocabulary, source: Source) -> io::Result<Option<(i32, File)>> {
        let mut trials = trials();
        let Some(place) = trials.get_or_insert_default().get_mut(&number) else { return Ok(None) };
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for two descriptors, and each has one owner. The child calls nothing that needs
        // another thread.
        unsafe {
            if libc::pipe(ends.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let [answer, writer] = ends.map(|end| OwnedFd::from_raw_fd(end));
            let process = libc::fork();
            if process < 0 {
                return Err(io::Error::last_os_error());
            }
            if process == 0 {
                let mut writer = File::from(writer);
                let _ = writer.write_all(&run(vocabulary, source));
                libc::_exit(0);
            }
            *place = Some(process);
            Ok(Some((process, File::from(answer))))
        }
    }

    /// Runs in the child and returns its answer.
    fn run(vocabulary: &Vocabulary, source: Source) -> Vec<u8> {
        limit();
        let parsed = catch_unwind(AssertUnwindSafe(|| match parse(vocabulary, source) {
            Ok(parsed) => {
                // Freeing it takes longer than exiting.
                std::mem::forget(parsed);
                Ok(())
            }
            Err(reason) => Err(reason),
        }));
        match parsed {
            Ok(Ok(())) => vec![FIT],
            Ok(Err(reason)) => [&[REFUSED], reason.as_bytes()].concat(),
            Err(_) => [&[REFUSED], &b"it cannot be compiled"[..]].concat(),
        }
    }

    fn limit() {
        // SAFETY: the calls access only the limits themselves. Signals end the process again, as without handlers.
        unsafe {
            for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGPROF, libc::SIGALRM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            let mut signals = std::mem::zeroed();
            libc::sigemptyset(&raw mut signals);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const signals, std::ptr::null_mut());
            let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
            let mut time: libc::itimerval = std::mem::zeroed();
            time.it_value.tv_usec = (MAX_TIME * 1000).into();
            libc::setitimer(libc::ITIMER_PROF, &raw const time, std::ptr::null_mut());
            libc::alarm(MAX_WAIT);
        }
        Thread::current().lower_priority(5);
        memory::limit(MAX_BYTES);
    }

    fn verdict(said: &[u8], status: i32) -> Verdict {
        match said.split_first() {
            Some((&FIT, _)) => return Verdict::Fit,
            Some((&REFUSED, reason)) => {
                return Verdict::Refused(String::from_utf8_lossy(reason).into_owned());
            }
            _ => {}
        }
        let signal = if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 };
        let reason = match signal {
            libc::SIGALRM => return Verdict::Late,
            libc::SIGPROF => format!(
                "it takes more than {MAX_TIME} ms to compile: use fewer or shorter patterns, smaller counts of \
                 repetition, or fewer rules"
            ),
            libc::SIGSEGV | libc::SIGBUS => {
                "it is nested too deep, or its rules refer to one another in too long a chain".into()
            }
            // A failed allocation aborts; the kernel kills when memory is short.
            libc::SIGABRT | libc::SIGKILL => format!(
                "it takes more than {} MiB of memory to compile: use fewer or shorter patterns, smaller counts of \
                 repetition, or fewer rules",
                MAX_BYTES >> 20
            ),
            _ => "it cannot be compiled".into(),
        };
        Verdict::Refused(reason)
    }
}

/// Without fork, a grammar may drive the calling process itself out of time, memory or stack.
#[cfg(not(unix))]
fn attempt(_: u32, vocabulary: &Vocabulary, source: Source) -> (Verdict, Duration) {
    let start = std::time::Instant::now();
    let verdict = super::compiled::parse(vocabulary, source).map_or_else(Verdict::Refused, |_| Verdict::Fit);
    (verdict, start.elapsed())
}

#[cfg(not(unix))]
fn kill(_: Option<i32>) {}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::super::TRIAL_STACK;
    use super::*;

    fn vocabulary() -> Arc<Vocabulary> {
        let mut words: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        words.push(b"\xff</s>".to_vec());
        Arc::new(Vocabulary::new(words.iter().map(Vec::as_slice), vec![256]))
    }

    fn tried(number: u32, vocabulary: &Arc<Vocabulary>, source: Source) -> Verdict {
        let vocabulary = vocabulary.clone();
        let attempt = move || try_source(number, &vocabulary, source).0;
        thread::Builder::new().stack_size(TRIAL_STACK).spawn(attempt).unwrap().join().unwrap()
    }

    fn refusal(verdict: Verdict) -> String {
        let Verdict::Refused(reason) = verdict else { panic!("{verdict:?}") };
        reason
    }

    fn chain(count: usize) -> Source {
        let rules: Vec<String> = (0..count).map(|i| format!("r{i}: r{}", i + 1)).collect();
        Source::Lark(format!("start: r0\n{}\nr{count}: \"x\"", rules.join("\n")))
    }

    /// A source that needs exponential memory: strings that end in many ways at once.
    fn exponential() -> Source {
        let patterns: Vec<_> = (0..20)
            .map(|i| serde_json::json!({ "pattern": format!("(a|b)*a(a|b){{{}}}$", 12 + i) }))
            .collect();
        let text = serde_json::json!({ "type": "string", "allOf": patterns });
        let schema = serde_json::json!({ "type": "object", "properties": { "a": text }, "required": ["a"] });
        Source::Json { schema: schema.to_string(), is_strict: true }
    }

    #[test]
    fn what_would_take_the_process_down_is_refused_with_the_reason() {
        let vocabulary = vocabulary();
        // Under AddressSanitizer, it may run out of time before it runs out of stack.
        let reason = refusal(tried(1, &vocabulary, chain(4000)));
        assert!(reason.contains("nested too deep") || reason.contains("ms to compile"), "{reason}");
        let reason = refusal(tried(2, &vocabulary, exponential()));
        assert!(reason.contains("of memory") || reason.contains("ms to compile"), "{reason}");
        let reason = refusal(tried(3, &vocabulary, Source::Regex("a?".repeat(30_000))));
        assert!(reason.contains("of memory") || reason.contains("ms to compile"), "{reason}");
        assert!(refusal(tried(4, &vocabulary, Source::Lark("start: missing".into()))).contains("missing"));
        // The process still works.
        assert_eq!(tried(5, &vocabulary, Source::Choice(vec!["left".into(), "right".into()])), Verdict::Fit);
        assert_eq!(tried(6, &vocabulary, chain(10)), Verdict::Fit);
    }

    #[test]
    fn ends_when_told_to() {
        let vocabulary = vocabulary();
        vocabulary.prepare().unwrap();
        let ending = thread::spawn(|| {
            thread::sleep(Duration::from_millis(50));
            end_trial(7);
        });
        assert_eq!(tried(7, &vocabulary, exponential()), Verdict::Ended);
        ending.join().unwrap();
        end_trial(7);
    }
}
