use cudarc::driver::DriverError;
use cudarc::driver::result::{
    ctx, device, free_sync, malloc_sync, mem_get_info, memcpy_dtod_sync, memcpy_dtoh_sync, memcpy_htod_sync,
    memset_d8_sync, primary_ctx,
};
use cudarc::driver::sys::{CUcontext, CUdeviceptr};

use super::memory::Memory;
use crate::cuda::{compute_capability, driver_failed, open_driver};
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
        let mut memory = Self { context: primary_context()?, start: 0, size };
        // A device cannot allocate zero bytes.
        let allocated = size.max(1);
        // SAFETY: `in_context` has made the context current, and the size is not zero.
        memory.start = memory.in_context("cuMemAlloc", || unsafe { malloc_sync(allocated) })?;
        // SAFETY: the fill covers exactly the new allocation, which nothing else uses yet.
        memory.in_context("cuMemsetD8", || unsafe { memset_d8_sync(memory.start, 0, allocated) })?;
        memory.wait()?;
        Ok(memory)
    }

    /// Runs `work`, a `call` of the driver, on this memory's device.
    fn in_context<R>(
        &self,
        call: &'static str,
        work: impl FnOnce() -> std::result::Result<R, DriverError>,
    ) -> Result<R> {
        // SAFETY: the context is never released.
        unsafe { ctx::set_current(self.context) }.map_err(named("cuCtxSetCurrent"))?;
        work().map_err(named(call))
    }
}

fn primary_context() -> Result<CUcontext> {
    open_driver().map_err(Error)?;
    let found = device::get(DEVICE).map_err(named("cuDeviceGet"))?;
    // SAFETY: the device was just found; the context is kept for the life of the process, as in ONNX Runtime.
    unsafe { primary_ctx::retain(found) }.map_err(named("cuDevicePrimaryCtxRetain"))
}

/// Free bytes of the first CUDA device, as its driver counts them.
pub fn free_cuda_memory() -> Result<usize> {
    // SAFETY: the context is never released.
    unsafe { ctx::set_current(primary_context()?) }.map_err(named("cuCtxSetCurrent"))?;
    let (free, _) = mem_get_info().map_err(named("cuMemGetInfo"))?;
    Ok(free)
}

/// Compute capability of the first CUDA device: 80 for 8.0.
pub fn cuda_compute_capability() -> Result<usize> {
    open_driver().map_err(Error)?;
    let ordinal = device::get(DEVICE).map_err(named("cuDeviceGet"))?;
    compute_capability(ordinal).map_err(Error)
}

fn named(call: &'static str) -> impl Fn(DriverError) -> Error {
    move |error| Error(driver_failed(call)(error))
}

impl Memory for CudaMemory {
    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.size, "{offset} is beyond {} bytes", self.size);
        (self.start as usize + offset) as *mut u8
    }

    unsafe fn copy(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes of device memory at both addresses; the context is current.
        self.in_context("cuMemcpyDtoD", || unsafe {
            memcpy_dtod_sync(to as CUdeviceptr, from as CUdeviceptr, size)
        })
    }

    unsafe fn upload(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes on the host and on the device; the context is current. This relies
        // on a `from` that is not null, even for no bytes: nothing checks that.
        self.in_context("cuMemcpyHtoD", || unsafe {
            memcpy_htod_sync(to as CUdeviceptr, std::slice::from_raw_parts(from, size))
        })
    }

    unsafe fn download(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the caller promises `size` bytes on the device and on the host; the context is current.
        self.in_context("cuMemcpyDtoH", || unsafe {
            memcpy_dtoh_sync(std::slice::from_raw_parts_mut(to, size), from as CUdeviceptr)
        })
    }

    fn wait(&self) -> Result<()> {
        self.in_context("cuCtxSynchronize", ctx::synchronize)
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
        let _ = self.in_context("cuMemFree", || unsafe { free_sync(self.start) });
    }
}
