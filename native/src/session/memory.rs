use super::cuda_memory::CudaMemory;
use super::host_memory::HostMemory;
use crate::ort::{Api, MemoryInfo, Result};

/// Memory for slot caches. A device may still copy when a call returns; `wait` ends with the copies of all its memory.
pub trait Memory: Send {
    /// The device's address of the byte at `offset`.
    ///
    /// # Panics
    /// When `offset` is beyond the end.
    fn at(&self, offset: usize) -> *mut u8;

    /// # Safety
    /// Both addresses are in this kind of memory, valid for `size` bytes, and do not overlap.
    unsafe fn copy(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()>;

    /// # Safety
    /// `from` is valid for `size` bytes on the host, `to` in this memory.
    unsafe fn upload(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()>;

    /// Copies what is there once all work that was given to the device before is done.
    ///
    /// # Safety
    /// `from` is valid for `size` bytes in this memory, `to` on the host.
    unsafe fn download(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()>;

    fn wait(&self) -> Result<()> {
        Ok(())
    }

    /// Frees memory that nobody will read before it is written again. Memory that cannot be freed in part stays.
    fn give_back(&mut self, _offset: usize, _size: usize) {}

    /// Its description for ONNX Runtime.
    fn info(&self, api: Api) -> Result<MemoryInfo>;
}

/// Where a model's caches live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Host,
    /// The first CUDA device's memory.
    Cuda,
    /// Host memory, with addresses that the host cannot use.
    #[cfg(test)]
    Far,
}

impl Place {
    /// The memory for the caches of this execution provider: the device's for CUDA, the host's for all others. TensorRT
    /// leaves attention over a cache to the CPU, and WebGPU's buffers have no addresses where a slot could begin.
    pub fn of(provider: Option<&str>) -> Self {
        if provider == Some("CUDA") { Self::Cuda } else { Self::Host }
    }

    pub fn zeroed(self, size: usize) -> Result<Box<dyn Memory>> {
        Ok(match self {
            Self::Host => Box::new(HostMemory::zeroed(size)?),
            Self::Cuda => Box::new(CudaMemory::zeroed(size)?),
            #[cfg(test)]
            Self::Far => Box::new(tests::FarMemory(HostMemory::zeroed(size)?)),
        })
    }
}

/// A number, or a struct of numbers.
///
/// # Safety
/// It has no padding, so that all its bytes are initialised.
pub unsafe trait Plain: Copy {}

// SAFETY: a number has no padding.
unsafe impl Plain for u32 {}
// SAFETY: as for u32.
unsafe impl Plain for f32 {}
// SAFETY: as for u32.
unsafe impl Plain for f64 {}

pub fn bytes_of<T: Plain>(numbers: &[T]) -> &[u8] {
    // SAFETY: all bytes of a plain value are initialised.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Simulates a device's memory: code that uses one of its addresses as a host address crashes.
    pub struct FarMemory(pub HostMemory);

    const DISTANCE: usize = 1 << 60;

    fn far(address: *mut u8) -> *mut u8 {
        address.map_addr(|address| address + DISTANCE)
    }

    pub fn host(address: *mut u8) -> *mut u8 {
        address.map_addr(|address| address - DISTANCE)
    }

    impl Memory for FarMemory {
        fn at(&self, offset: usize) -> *mut u8 {
            far(self.0.at(offset))
        }

        unsafe fn copy(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
            // SAFETY: `host` undoes `far`, so what the caller promises holds for the real addresses.
            unsafe { self.0.copy(host(from.cast_mut()), host(to), size) }
        }

        unsafe fn upload(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
            // SAFETY: `host` undoes `far` for `to`; `from` already is a host address.
            unsafe { self.0.upload(from, host(to), size) }
        }

        unsafe fn download(&self, from: *const u8, to: *mut u8, size: usize) -> Result<()> {
            // SAFETY: `host` undoes `far` for `from`; `to` already is a host address.
            unsafe { self.0.download(host(from.cast_mut()), to, size) }
        }

        fn info(&self, api: Api) -> Result<MemoryInfo> {
            self.0.info(api)
        }
    }
}
