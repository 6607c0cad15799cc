use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

type Task<'a> = &'a (dyn Fn(usize) + Sync);

/// Threads that wait for the next task without sleeping, like ONNX Runtime's, so that a benchmark divides work like a
/// node.
#[derive(Default)]
pub struct Team {
    helpers: usize,
    /// Incremented with every task.
    round: AtomicUsize,
    task: AtomicPtr<()>,
    pieces: AtomicUsize,
    next: AtomicUsize,
    busy: AtomicUsize,
    is_over: AtomicBool,
}

/// Runs `body` with a team of `threads` threads, including this one.
pub fn with_team<R>(threads: usize, body: impl FnOnce(&Team) -> R) -> R {
    struct Ending<'a>(&'a Team);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.is_over.store(true, Ordering::Release);
        }
    }
    let team = Team { helpers: threads.saturating_sub(1), ..Team::default() };
    std::thread::scope(|scope| {
        let _ending = Ending(&team);
        for _ in 0..team.helpers {
            scope.spawn(|| team.help());
        }
        body(&team)
    })
}

impl Team {
    /// Runs `task(0) … task(pieces - 1)`, each on the next free thread.
    pub fn run(&self, pieces: usize, task: Task<'_>) {
        self.pieces.store(pieces, Ordering::Relaxed);
        self.next.store(0, Ordering::Relaxed);
        self.busy.store(self.helpers, Ordering::Relaxed);
        self.task.store(ptr::from_ref(&task).cast_mut().cast(), Ordering::Relaxed);
        self.round.fetch_add(1, Ordering::Release);
        self.work(task);
        while self.busy.load(Ordering::Acquire) > 0 {
            std::hint::spin_loop();
        }
    }

    fn work(&self, task: Task<'_>) {
        let pieces = self.pieces.load(Ordering::Relaxed);
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return;
            }
            task(piece);
        }
    }

    fn help(&self) {
        let mut seen = 0;
        while !self.is_over.load(Ordering::Acquire) {
            let round = self.round.load(Ordering::Acquire);
            if round == seen {
                std::hint::spin_loop();
                continue;
            }
            seen = round;
            // SAFETY: `run` keeps the task alive until `busy` is 0, when all threads are done with it. This relies on
            // tasks that do not panic and do not call `run`: nothing checks either.
            self.work(unsafe { *self.task.load(Ordering::Relaxed).cast_const().cast::<Task<'_>>() });
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_worked_on_once_and_done_when_run_returns() {
        with_team(3, |team| {
            for pieces in [0, 1, 2, 17] {
                let counts: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
                team.run(pieces, &|piece| {
                    counts[piece].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{counts:?}");
            }
        });
    }
}
