use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use super::memory::Memory;
use crate::ort::{Api, MemoryInfo, Result};

/// The best alignment for vector loads, in bytes.
const ALIGNMENT: usize = 64;

/// Zeroed host memory. Large areas cost nothing until they are written, because the system maps pages on demand.
pub struct HostMemory {
    raw: *mut u8,
    layout: Layout,
    size: usize,
}

// SAFETY: this value alone owns the allocation, and any thread may free memory of the global allocator.
unsafe impl Send for HostMemory {}

impl HostMemory {
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
}

impl Memory for HostMemory {
    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.size, "{offset} is beyond {} bytes", self.size);
        let padding = self.raw.align_offset(ALIGNMENT);
        self.raw.wrapping_add(padding + offset)
    }

    unsafe fn copy(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes at both addresses, without overlap.
        unsafe { from.copy_to_nonoverlapping(to, size) };
        Ok(())
    }

    unsafe fn upload(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes at both addresses. This relies on them not overlapping: the only
        // caller reads from a tensor that ONNX Runtime allocated.
        unsafe { self.copy(from, to, size) }
    }

    fn info(&self, api: Api) -> Result<MemoryInfo> {
        MemoryInfo::host(api)
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.raw, self.layout) }
    }
}
