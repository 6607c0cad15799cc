use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr;

use ort_sys::{ONNXTensorElementDataType, OrtKernelContext, OrtValue};

use crate::ort::{Api, Error, Result};

/// Shape and address of a tensor, which is in the memory of the kernel's provider.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    pub dims: &'a [i64],
    data: *mut c_void,
    _life: PhantomData<&'a ()>,
}

impl<'a> Tensor<'a> {
    /// # Safety
    /// `value` is a tensor that outlives `'a`.
    pub unsafe fn of(api: &Api, value: *mut OrtValue) -> Result<Self> {
        let mut element = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        let (mut dims, mut rank, mut data) = (ptr::null(), 0, ptr::null_mut());
        // SAFETY: the caller keeps the tensor alive, and it owns its dims and data, `rank` dims in all.
        unsafe {
            api.check((api.GetTensorElementTypeAndShapeDataReference)(
                value,
                &mut element,
                &mut dims,
                &mut rank,
            ))?;
            api.check((api.GetTensorMutableData)(value, &mut data))?;
            // A scalar's pointer to its dims may be null.
            let dims = if rank == 0 { &[] } else { std::slice::from_raw_parts(dims, rank) };
            Ok(Self { dims, data, _life: PhantomData })
        }
    }

    pub fn data<T>(&self) -> *mut T {
        self.data.cast()
    }
}

/// One call of a kernel.
pub struct Compute {
    api: Api,
    context: *mut OrtKernelContext,
    op: &'static CStr,
}

impl Compute {
    pub fn new(api: Api, context: *mut OrtKernelContext, op: &'static CStr) -> Self {
        Self { api, context, op }
    }

    #[cold]
    pub fn error(&self, text: std::fmt::Arguments<'_>) -> Error {
        Error(format!("ai.altup.{}: {text}", self.op.to_string_lossy()))
    }

    pub fn input(&self, index: usize) -> Result<Tensor<'_>> {
        let mut value = ptr::null();
        // SAFETY: ONNX Runtime keeps `context` and its inputs valid during the kernel's call, which `self` is made for.
        unsafe {
            self.api.check((self.api.KernelContext_GetInput)(self.context, index, &mut value))?;
            if value.is_null() {
                return Err(self.error(format_args!("input {index} is missing")));
            }
            Tensor::of(&self.api, value.cast_mut())
        }
    }

    pub fn output<T>(&self, index: usize, dims: &[i64]) -> Result<*mut T> {
        let (mut value, mut data) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: as in `input`. Every output is required, so ONNX Runtime gives each one a tensor of these dims.
        unsafe {
            self.api.check((self.api.KernelContext_GetOutput)(
                self.context,
                index,
                dims.as_ptr(),
                dims.len(),
                &mut value,
            ))?;
            self.api.check((self.api.GetTensorMutableData)(value, &mut data))?;
        }
        Ok(data.cast())
    }

    /// The stream for this run's device kernels; null on the CPU.
    pub fn stream(&self) -> Result<*mut c_void> {
        let mut stream = ptr::null_mut();
        // SAFETY: ONNX Runtime keeps `context` valid during the kernel's call, which `self` is made for.
        self.api.check(unsafe { (self.api.KernelContext_GetGPUComputeStream)(self.context, &mut stream) })?;
        Ok(stream)
    }

    /// Runs `task(0) … task(count - 1)` on ONNX Runtime's own threads.
    pub fn parallel<F: Fn(usize) + Sync>(&self, count: usize, task: &F) -> Result<()> {
        unsafe extern "C" fn call<F: Fn(usize) + Sync>(task: *mut c_void, index: usize) {
            // SAFETY: `task` is the `&F` that `parallel` borrows until the last index is done; F is Sync.
            // Tasks must not panic: a panic cannot cross ONNX Runtime, so Rust aborts here.
            unsafe { (*task.cast::<F>())(index) }
        }
        let task = ptr::from_ref(task).cast_mut().cast();
        self.api
            // SAFETY: ParallelFor returns after the last call of `task`, so the borrow outlives its use. `context` is
            // valid as in `input`.
            .check(unsafe { (self.api.KernelContext_ParallelFor)(self.context, call::<F>, count, 0, task) })
    }
}
