//! A thread's priority and CPU time.

use std::time::Duration;

/// A thread, seen from other threads.
pub struct Thread {
    id: i32,
    clock: libc::clockid_t,
}

#[cfg(target_os = "linux")]
impl Thread {
    pub fn current() -> Self {
        let mut clock = libc::CLOCK_MONOTONIC;
        // SAFETY: `clock` has room for the id. A thread always finds its own clock.
        unsafe {
            libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock);
            Self { id: libc::gettid(), clock }
        }
    }

    /// Lowers its priority below that of the threads that run models.
    pub fn lower_priority(&self, nice: i32) {
        // SAFETY: no memory is passed. On Linux, priorities belong to threads.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, self.id.cast_unsigned(), nice) };
    }
}

/// On other systems, priorities do not change and wall time counts as CPU time.
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
    /// CPU time so far; None once the thread has ended.
    pub fn time(&self) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` has room for the result.
        let found = unsafe { libc::clock_gettime(self.clock, &raw mut time) };
        (found == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
}
