/// Lowers the priority of this thread, or of another by its id, below that of the threads that run models.
#[cfg(target_os = "linux")]
pub fn lower_priority(thread: Option<i32>, nice: i32) {
    // SAFETY: no memory is passed. On Linux it is threads that have priorities; 0 is this one.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread.unwrap_or(0).cast_unsigned(), nice) };
}

/// Elsewhere threads stay as they are.
#[cfg(not(target_os = "linux"))]
pub fn lower_priority(_: Option<i32>, _: i32) {}

/// This thread, for `lower_priority`.
#[cfg(target_os = "linux")]
pub fn this_thread() -> i32 {
    // SAFETY: it cannot fail.
    unsafe { libc::gettid() }
}

#[cfg(not(target_os = "linux"))]
pub fn this_thread() -> i32 {
    0
}
