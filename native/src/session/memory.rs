use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

/// Alignment that vector loads like best.
const ALIGNMENT: usize = 64;

/// Zeroed host memory. Large areas cost nothing until they are written to: the system hands out pages on demand.
pub struct Memory {
    raw: *mut u8,
    layout: Layout,
    size: usize,
}

unsafe impl Send for Memory {}

impl Memory {
    pub fn zeroed(size: usize) -> Self {
        // With a larger alignment the allocator would write the zeros itself and so touch every page.
        let layout =
            Layout::from_size_align(size + ALIGNMENT, 16).expect("a size that fits the address space");
        // SAFETY: the layout is not empty.
        let raw = unsafe { alloc_zeroed(layout) };
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        Self { raw, layout, size }
    }

    /// # Panics
    /// When `offset` is beyond the end.
    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.size, "{offset} is beyond {} bytes", self.size);
        let padding = self.raw.align_offset(ALIGNMENT);
        self.raw.wrapping_add(padding + offset)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.raw, self.layout) }
    }
}
