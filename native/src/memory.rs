//! Counts what each thread holds of memory, and refuses it what goes beyond its limit. What a client sends is compiled by
//! a library that has no limit of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes allocated less bytes freed; what one thread allocates and another frees counts for the first for ever.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static LIMIT: Cell<isize> = const { Cell::new(isize::MAX) };
}

/// Bytes that this thread has allocated and not freed.
pub fn held() -> isize {
    HELD.get()
}

/// Lets this thread allocate `bytes` more. Beyond, allocation fails, which ends the process: for one of its own only.
pub fn limit(bytes: usize) {
    LIMIT.set(held().saturating_add_unsigned(bytes));
}

/// Has the allocator give what is free back to the system: it keeps what threads that have ended leave.
pub fn give_back_memory() {
    // SAFETY: only memory that nobody holds is given back.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The system's allocator, counted.
pub struct Counted;

fn take(bytes: usize) -> bool {
    let held = HELD.get().saturating_add_unsigned(bytes);
    if held > LIMIT.get() {
        return false;
    }
    HELD.set(held);
    true
}

fn give_back(bytes: usize) {
    HELD.set(HELD.get().saturating_sub_unsigned(bytes));
}

// SAFETY: every request goes to the system's allocator as it is, or fails.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) { unsafe { System.alloc(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) { unsafe { System.alloc_zeroed(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give_back(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !take(size) {
            return std::ptr::null_mut();
        }
        let moved = unsafe { System.realloc(pointer, layout, size) };
        give_back(if moved.is_null() { size } else { layout.size() });
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_a_thread_holds() {
        let before = held();
        let mut bytes = vec![0_u8; 1 << 20];
        assert_eq!(held() - before, 1 << 20);
        bytes.reserve_exact(1 << 20);
        assert_eq!(held() - before, 1 << 21);
        drop(bytes);
        assert_eq!(held(), before);
    }

    #[test]
    fn refuses_what_is_beyond_the_limit() {
        std::thread::spawn(|| {
            limit(1 << 20);
            assert!(Vec::<u8>::new().try_reserve_exact(1 << 19).is_ok());
            assert!(Vec::<u8>::new().try_reserve_exact(1 << 21).is_err());
        })
        .join()
        .unwrap();
    }
}
