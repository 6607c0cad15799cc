use std::alloc::Layout;
use std::cell::RefCell;
use std::sync::{Arc, Weak};

/// Bytes of a huge page. One entry of the processor's table of addresses covers it, instead of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;
/// Bytes of a chunk at least. What nobody has written to takes no memory.
const CHUNK: usize = 32 << 20;
/// Every piece begins at a multiple of it: a cache line, and the widest vector.
const ALIGNMENT: usize = 64;

thread_local! {
    /// The chunk that the next piece may come from, and its bytes in use.
    static CURRENT: RefCell<(Weak<Chunk>, usize)> = const { RefCell::new((Weak::new(), 0)) };
}

/// Memory for many pieces, in huge pages where the system has them. The last piece frees it.
struct Chunk {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: it is an address and a size; pieces of it do not overlap.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

impl Chunk {
    fn new(bytes: usize) -> Option<Self> {
        let bytes = bytes.next_multiple_of(HUGE_PAGE).max(CHUNK);
        // SAFETY: the size is not zero.
        let start = unsafe { allocate(Self::layout(bytes)) };
        (!start.is_null()).then_some(Self { start, bytes })
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, HUGE_PAGE).expect("a size below half the address space")
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this layout, and no piece is left.
        unsafe { free(self.start, Self::layout(self.bytes)) }
    }
}

/// Zeroed memory, or null. The allocator would write the zeros, and so take memory for all of them at once.
#[cfg(target_os = "linux")]
unsafe fn allocate(layout: Layout) -> *mut u8 {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let reserved = layout.size() + layout.align();
    // SAFETY: it reserves addresses that nobody has, and gives back those before and behind an aligned part.
    unsafe {
        let first = libc::mmap(std::ptr::null_mut(), reserved, access, kind, -1, 0);
        if first == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        let before = first.align_offset(layout.align());
        let start = first.byte_add(before);
        if before > 0 {
            libc::munmap(first, before);
        }
        if before < layout.align() {
            libc::munmap(start.byte_add(layout.size()), layout.align() - before);
        }
        // Without huge pages everything is the same, only slower.
        libc::madvise(start, layout.size(), libc::MADV_HUGEPAGE);
        start.cast()
    }
}

#[cfg(target_os = "linux")]
unsafe fn free(start: *mut u8, layout: Layout) {
    // SAFETY: the caller gives back what `allocate` reserved.
    unsafe { libc::munmap(start.cast(), layout.size()) };
}

#[cfg(not(target_os = "linux"))]
use std::alloc::{alloc_zeroed as allocate, dealloc as free};

/// Zeroed memory that begins at a multiple of 64 bytes. Pieces that a thread takes one after the other lie together.
pub struct Piece {
    chunk: Arc<Chunk>,
    start: *mut u8,
    bytes: usize,
}

// SAFETY: it alone owns its memory; `chunk` only keeps that alive.
unsafe impl Send for Piece {}
// SAFETY: as above; a shared piece is only read.
unsafe impl Sync for Piece {}

impl Piece {
    /// None if the system has no memory for it.
    pub fn new(bytes: usize) -> Option<Self> {
        let taken = bytes.next_multiple_of(ALIGNMENT);
        CURRENT.with_borrow_mut(|(current, used)| {
            let chunk = current.upgrade().filter(|chunk| chunk.bytes - *used >= taken);
            let chunk = match chunk {
                Some(chunk) => chunk,
                None => {
                    let chunk = Arc::new(Chunk::new(taken)?);
                    (*current, *used) = (Arc::downgrade(&chunk), 0);
                    chunk
                }
            };
            let start = chunk.start.wrapping_add(*used);
            *used += taken;
            Some(Self { chunk, start, bytes })
        })
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.start
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        debug_assert!(self.start as usize + self.bytes <= self.chunk.start as usize + self.chunk.bytes);
        // SAFETY: these bytes of the chunk are zeroed or written, and no other piece has them.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

/// The next piece of this thread begins a chunk. Call it before a model is loaded, so that two models share none and each
/// gives its memory back when it is closed.
pub fn begin_chunk() {
    CURRENT.with_borrow_mut(|current| *current = (Weak::new(), 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_together_until_a_chunk_begins() {
        begin_chunk();
        let [mut first, second] = [100, 1].map(|bytes| Piece::new(bytes).unwrap());
        assert_eq!(second.as_ptr() as usize - first.as_ptr() as usize, 128);
        assert_eq!(first.as_ptr() as usize % HUGE_PAGE, 0);
        assert!(first.bytes_mut().iter().all(|byte| *byte == 0));
        first.bytes_mut().fill(7);
        begin_chunk();
        let third = Piece::new(CHUNK + 1).unwrap();
        assert!(!Arc::ptr_eq(&third.chunk, &first.chunk));
        let chunk = Arc::downgrade(&first.chunk);
        drop((first, second));
        assert!(chunk.upgrade().is_none());
    }
}
