use std::ffi::c_void;

use super::device::{Device, Launch, Variant};
use crate::ops::{Compute, Tensor};
use crate::ort::Result;

/// Threads per thread block if each thread works on its own.
pub const THREADS: usize = 128;
/// Threads per thread block if they work on one row together.
pub const ROW_THREADS: usize = 512;

/// How rows are spread over thread blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub is_aligned: bool,
    /// Thread blocks for each row.
    pub chunks: u32,
}

impl Spread {
    /// Threads take `lanes` elements at a time if `width`, all `lengths` (distances between rows or blocks) and all
    /// `addresses` are multiples of that; otherwise single elements.
    pub fn new(
        variant: Variant,
        lanes: usize,
        width: usize,
        lengths: &[usize],
        addresses: &[*const c_void],
    ) -> Self {
        let bytes = lanes * variant.element.size();
        let is_aligned = width.is_multiple_of(lanes)
            && lengths.iter().all(|length| length.is_multiple_of(lanes))
            && addresses.iter().all(|address| address.addr().is_multiple_of(bytes));
        let piece = THREADS * if is_aligned { lanes } else { 1 };
        Self { is_aligned, chunks: width.div_ceil(piece) as u32 }
    }
}

/// One call of an operator, ready to launch on the device.
pub struct Call<'a, D: Device> {
    pub context: &'a Compute,
    pub program: &'static D::Program,
    pub variant: Variant,
    /// The input that errors name.
    pub input: (&'static str, Tensor<'a>),
}

impl<D: Device> Call<'_, D> {
    /// Launches one thread block for each chunk of `rows` rows.
    ///
    /// # Safety
    /// As [`Device::launch`].
    pub unsafe fn spread<A>(
        &self,
        kernel: &'static str,
        rows: usize,
        spread: Spread,
        arguments: &A,
    ) -> Result<()> {
        let grid = rows * spread.chunks as usize;
        // SAFETY: the caller promises what `Device::launch` needs. Kernels ignore columns beyond the end of a row.
        unsafe { self.launch(kernel, spread.is_aligned, grid, THREADS, arguments) }
    }

    /// Launches one thread block for each row.
    ///
    /// # Safety
    /// As [`Device::launch`].
    pub unsafe fn row_by_row<A>(
        &self,
        kernel: &'static str,
        rows: usize,
        is_aligned: bool,
        arguments: &A,
    ) -> Result<()> {
        // SAFETY: the caller promises what `Device::launch` needs, for `rows` rows.
        unsafe { self.launch(kernel, is_aligned, rows, ROW_THREADS, arguments) }
    }

    /// # Safety
    /// As [`Device::launch`].
    unsafe fn launch<A>(
        &self,
        kernel: &'static str,
        is_aligned: bool,
        grid: usize,
        threads: usize,
        arguments: &A,
    ) -> Result<()> {
        if grid == 0 {
            return Ok(());
        }
        let (name, Tensor { dims, .. }) = self.input;
        let failed = |message: String| self.context.error(format_args!("{name} {dims:?}: {message}"));
        // CUDA limits the thread blocks in the first dimension.
        let grid = i32::try_from(grid).map_err(|_| failed(format!("{grid} thread blocks are too many")))?;
        let launch = Launch { kernel, is_aligned, grid: grid as u32, threads };
        let stream = D::stream(self.context)?;
        // SAFETY: the caller promises the kernel's struct with valid addresses. The work runs later, on the stream of
        // this call: ONNX Runtime reuses the memory of its tensors in the order of that stream.
        unsafe { D::launch(self.program, launch, stream, std::ptr::from_ref(arguments).cast()) }
            .map_err(failed)
    }
}
