use cudarc::driver::result::{
    ctx, device, free_sync, malloc_sync, memcpy_dtod_sync, memcpy_htod_sync, memset_d8_sync, primary_ctx,
};
use cudarc::driver::sys::{CUcontext, CUdeviceptr};

use super::memory::Memory;
use crate::cuda::{driver_words, open_driver};
use crate::ort::{Api, Error, MemoryInfo, Result};

/// The default device of ONNX Runtime's CUDA provider.
const DEVICE: i32 = 0;

/// Zeroed memory of the first CUDA device, in its primary context, which ONNX Runtime uses too.
pub struct CudaMemory {
    context: CUcontext,
    start: CUdeviceptr,
    size: usize,
}

// SAFETY: contexts and addresses of CUDA belong to no thread; each operation makes the context current where it runs.
unsafe impl Send for CudaMemory {}

impl CudaMemory {
    pub fn zeroed(size: usize) -> Result<Self> {
        open_driver().map_err(Error)?;
        let found = device::get(DEVICE).map_err(driver_words).map_err(Error)?;
        // SAFETY: the device was just found; the context is kept for the life of the process, as in ONNX Runtime.
        let context = unsafe { primary_ctx::retain(found) }.map_err(driver_words).map_err(Error)?;
        let mut memory = Self { context, start: 0, size };
        // A device cannot allocate zero bytes.
        // SAFETY: `in_context` has made the context current, and the size is not zero.
        memory.start = memory.in_context(|| unsafe { zeroes(size.max(1)) })?;
        Ok(memory)
    }

    /// Runs `work` on this memory's device and waits for it: copies and fills on the device do not wait by themselves.
    fn in_context<R>(
        &self,
        work: impl FnOnce() -> std::result::Result<R, cudarc::driver::DriverError>,
    ) -> Result<R> {
        // SAFETY: the context is never released.
        unsafe { ctx::set_current(self.context) }
            .and_then(|()| work())
            .and_then(|done| ctx::synchronize().map(|()| done))
            .map_err(|error| Error(driver_words(error)))
    }
}

unsafe fn zeroes(size: usize) -> std::result::Result<CUdeviceptr, cudarc::driver::DriverError> {
    // SAFETY: the fill covers exactly the new allocation, which nothing else uses yet.
    unsafe {
        let start = malloc_sync(size)?;
        memset_d8_sync(start, 0, size)?;
        Ok(start)
    }
}

impl Memory for CudaMemory {
    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.size, "{offset} is beyond {} bytes", self.size);
        (self.start as usize + offset) as *mut u8
    }

    unsafe fn copy(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes of device memory at both addresses; the context is current.
        self.in_context(|| unsafe { memcpy_dtod_sync(to as CUdeviceptr, from as CUdeviceptr, size) })
    }

    unsafe fn upload(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes on the host and on the device; the context is current. This relies
        // on a `from` that is not null, even for no bytes: nothing checks that.
        self.in_context(|| unsafe {
            memcpy_htod_sync(to as CUdeviceptr, std::slice::from_raw_parts(from, size))
        })
    }

    fn info(&self, api: Api) -> Result<MemoryInfo> {
        MemoryInfo::device(api, c"Cuda", DEVICE)
    }
}

impl Drop for CudaMemory {
    fn drop(&mut self) {
        // If freeing fails, nothing can be done about it.
        // SAFETY: `malloc_sync` made this address, which only this frees, and no binding refers to it any more. If it
        // could not be made, the address is 0: this relies on CUDA to refuse or ignore that.
        let _ = self.in_context(|| unsafe { free_sync(self.start) });
    }
}
