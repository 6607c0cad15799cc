//! What the system knows of a thread: its priority, and its time on the processor.

use std::time::Duration;

/// A thread for others to look at.
pub struct Thread {
    id: i32,
    clock: libc::clockid_t,
}

#[cfg(target_os = "linux")]
impl Thread {
    pub fn current() -> Self {
        let mut clock = libc::CLOCK_MONOTONIC;
        // SAFETY: there is room for the clock's id. A thread always finds its own.
        unsafe {
            libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock);
            Self { id: libc::gettid(), clock }
        }
    }

    /// Lowers its priority below that of the threads that run models.
    pub fn lower_priority(&self, nice: i32) {
        // SAFETY: no memory is passed. On Linux it is threads that have priorities.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, self.id.cast_unsigned(), nice) };
    }
}

/// Elsewhere threads stay as they are, and any time counts.
#[cfg(not(target_os = "linux"))]
impl Thread {
    pub fn current() -> Self {
        Self { id: 0, clock: libc::CLOCK_MONOTONIC }
    }

    pub fn lower_priority(&self, _nice: i32) {
        let _ = self.id;
    }
}

impl Thread {
    /// Time on the processor so far; None once the thread has ended.
    pub fn time(&self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: there is room for the time.
        let found = unsafe { libc::clock_gettime(self.clock, &raw mut time) };
        (found == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
}
