//! Counts each thread's memory and refuses allocations beyond the thread's limit. The library that compiles what
//! clients send has no limit of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes allocated minus bytes freed. If another thread frees the memory, it counts for this thread for ever.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static LIMIT: Cell<isize> = const { Cell::new(isize::MAX) };
}

/// Bytes that this thread has allocated and not freed.
pub fn held() -> isize {
    HELD.get()
}

/// Lets this thread allocate `bytes` more. Beyond that, allocation fails and ends the process: use a separate process.
pub fn limit(bytes: usize) {
    LIMIT.set(held().saturating_add_unsigned(bytes));
}

/// Makes the allocator return free memory to the system. Otherwise it keeps what ended threads leave.
pub fn give_back_memory() {
    // SAFETY: the allocator returns only free memory.
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

// SAFETY: every request goes unchanged to the system's allocator, or fails.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a `layout` whose size is not 0, and it goes to `System` unchanged.
        if take(layout.size()) { unsafe { System.alloc(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a `layout` whose size is not 0, and it goes to `System` unchanged.
        if take(layout.size()) { unsafe { System.alloc_zeroed(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give_back(layout.size());
        // SAFETY: every pointer of this allocator comes from `System`, and the caller passes its layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !take(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: every pointer of this allocator comes from `System`, and the caller passes its layout.
        // The caller also promises that `size` is not 0 and does not overflow `isize`.
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
