use super::memory::Memory;
use crate::ort::{Api, MemoryInfo, Result};

/// Zeroed host memory, aligned for vector loads. It costs nothing until it is written, because the system maps pages on
/// demand.
pub struct HostMemory {
    area: area::Area,
    size: usize,
}

impl HostMemory {
    pub fn zeroed(size: usize) -> Result<Self> {
        Ok(Self { area: area::Area::zeroed(size)?, size })
    }
}

impl Memory for HostMemory {
    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.size, "{offset} is beyond {} bytes", self.size);
        self.area.start().wrapping_add(offset)
    }

    unsafe fn copy(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes at both addresses, without overlap.
        unsafe { from.copy_to_nonoverlapping(to, size) };
        Ok(())
    }

    unsafe fn upload(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes at both addresses, one of them not in this memory.
        unsafe { self.copy(from, to, size) }
    }

    unsafe fn download(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes at both addresses, one of them not in this memory.
        unsafe { self.copy(from, to, size) }
    }

    fn give_back(&mut self, offset: usize, size: usize) {
        assert!(offset + size <= self.size, "{offset} and {size} more are beyond {} bytes", self.size);
        self.area.give_back(offset, size);
    }

    fn info(&self, api: Api) -> Result<MemoryInfo> {
        MemoryInfo::host(api)
    }
}

/// Address space that the system fills with pages one by one.
#[cfg(target_os = "linux")]
mod area {
    use std::ptr;

    use crate::ort::{Error, Result};

    pub struct Area {
        start: *mut u8,
        size: usize,
    }

    // SAFETY: this value alone owns the mapping, and any thread may unmap it.
    unsafe impl Send for Area {}

    impl Area {
        /// Reserves no memory in advance: `MAP_NORESERVE` lets the area be larger than the machine's memory.
        pub fn zeroed(size: usize) -> Result<Self> {
            // An empty mapping is an error.
            let size = size.max(1);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            // SAFETY: this maps new pages at an address that the system chooses.
            let start = unsafe { libc::mmap(ptr::null_mut(), size, access, kind, -1, 0) };
            if start == libc::MAP_FAILED {
                let cause = std::io::Error::last_os_error();
                return Err(Error(format!(
                    "cannot reserve {size} bytes of address space for a cache: {cause}. Lower ALTUP_SLOTS or ALTUP_CONTEXT."
                )));
            }
            // A huge page would take 2 MiB for one position. If the kernel has none, this fails and nothing is lost.
            // SAFETY: the pages were just mapped.
            unsafe { libc::madvise(start, size, libc::MADV_NOHUGEPAGE) };
            Ok(Self { start: start.cast(), size })
        }

        pub fn start(&self) -> *mut u8 {
            self.start
        }

        /// Frees the whole pages within these bytes, which read as zero from then on.
        pub fn give_back(&mut self, offset: usize, size: usize) {
            // SAFETY: this only asks the system.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
            let (from, to) = (offset.next_multiple_of(page), (offset + size) / page * page);
            if from < to {
                // If this fails, the memory stays in use.
                // SAFETY: the pages lie within the mapping, which begins on a page.
                unsafe { libc::madvise(self.start.add(from).cast(), to - from, libc::MADV_DONTNEED) };
            }
        }
    }

    impl Drop for Area {
        fn drop(&mut self) {
            // SAFETY: mapped with this size, and nothing refers to it any more.
            unsafe { libc::munmap(self.start.cast(), self.size) };
        }
    }
}

/// The allocator's zeroed memory. No part of it is given back.
#[cfg(not(target_os = "linux"))]
mod area {
    use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

    use crate::ort::Result;

    /// The best alignment for vector loads, in bytes.
    const ALIGNMENT: usize = 64;

    pub struct Area {
        raw: *mut u8,
        layout: Layout,
    }

    // SAFETY: this value alone owns the allocation, and any thread may free memory of the global allocator.
    unsafe impl Send for Area {}

    impl Area {
        pub fn zeroed(size: usize) -> Result<Self> {
            // With a larger alignment the allocator would write the zeros itself and so touch every page.
            let layout =
                Layout::from_size_align(size + ALIGNMENT, 16).expect("a size that fits the address space");
            // SAFETY: the layout is not empty.
            let raw = unsafe { alloc_zeroed(layout) };
            if raw.is_null() {
                handle_alloc_error(layout);
            }
            Ok(Self { raw, layout })
        }

        pub fn start(&self) -> *mut u8 {
            self.raw.wrapping_add(self.raw.align_offset(ALIGNMENT))
        }

        pub fn give_back(&mut self, _offset: usize, _size: usize) {}
    }

    impl Drop for Area {
        fn drop(&mut self) {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.raw, self.layout) }
        }
    }
}
