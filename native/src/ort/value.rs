use std::ffi::c_void;
use std::ptr;

use ort_sys::{ONNXTensorElementDataType, OrtValue};

use super::{Api, Error, MemoryInfo, Result};

/// Element types of graph inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F32,
    F16,
    Bf16,
    I32,
    I64,
}

impl Element {
    const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::I32, Self::I64];

    pub fn of(onnx: ONNXTensorElementDataType) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.onnx() == onnx)
    }

    pub fn onnx(self) -> ONNXTensorElementDataType {
        match self {
            Self::F32 => ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            Self::F16 => ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
            Self::Bf16 => ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
            Self::I32 => ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
            Self::I64 => ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        }
    }

    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I64 => 8,
        }
    }
}

/// A tensor in ONNX Runtime. Whoever made it manages the memory behind it.
pub struct Value {
    api: Api,
    raw: *mut OrtValue,
}

// SAFETY: ONNX Runtime counts owners atomically. The value is not Sync: one thread at a time uses it.
unsafe impl Send for Value {}

impl Value {
    /// A view of `length` elements at `data` on the host.
    ///
    /// # Safety
    /// As [`Self::view_in`].
    pub unsafe fn view(
        api: Api,
        element: Element,
        dims: &[i64],
        data: *mut c_void,
        length: usize,
    ) -> Result<Self> {
        // SAFETY: the caller makes the promise that `view_in` asks for.
        unsafe { Self::view_in(api, MemoryInfo::host(api)?, element, dims, (data, length)) }
    }

    /// A view of `length` elements at `data` in `memory`.
    ///
    /// # Safety
    /// The memory is valid for `length` elements while this value, or a binding that contains it, is used.
    pub unsafe fn view_in(
        api: Api,
        memory: MemoryInfo,
        element: Element,
        dims: &[i64],
        (data, length): (*mut c_void, usize),
    ) -> Result<Self> {
        let wanted: i64 = dims.iter().product();
        if usize::try_from(wanted) != Ok(length) {
            return Err(Error(format!("{length} elements given for a tensor {dims:?}")));
        }
        let mut raw = ptr::null_mut();
        let bytes = length * element.size();
        let (info, rank) = (memory.as_ptr(), dims.len());
        // SAFETY: the caller keeps `bytes` bytes at `data` valid; ONNX Runtime copies the `rank` dims.
        api.check(unsafe {
            let dims = dims.as_ptr();
            (api.CreateTensorWithDataAsOrtValue)(info, data, bytes, dims, rank, element.onnx(), &mut raw)
        })?;
        Ok(Self { api, raw })
    }

    pub(super) fn from_raw(api: Api, raw: *mut OrtValue) -> Self {
        Self { api, raw }
    }

    pub fn as_ptr(&self) -> *mut OrtValue {
        self.raw
    }

    /// Element type, shape and first byte of a tensor in host memory. Refuses types that `Element` does not list.
    pub fn tensor(&self) -> Result<(Element, Vec<i64>, *mut c_void)> {
        let api = &self.api;
        let mut element = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        let (mut dims, mut rank, mut data) = (ptr::null(), 0, ptr::null_mut());
        // SAFETY: the value is alive and owns dims and data. ONNX Runtime refuses a value that is no tensor yet.
        unsafe {
            api.check((api.GetTensorElementTypeAndShapeDataReference)(
                self.raw,
                &mut element,
                &mut dims,
                &mut rank,
            ))?;
            api.check((api.GetTensorMutableData)(self.raw, &mut data))?;
            let dims = if rank == 0 { &[] } else { std::slice::from_raw_parts(dims, rank) };
            let known = Element::of(element);
            let known = known.ok_or_else(|| Error(format!("a tensor of the unknown type {element:?}")))?;
            Ok((known, dims.to_vec(), data))
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: ONNX Runtime made this value or share for us, and this is its only release.
        unsafe { (self.api.ReleaseValue)(self.raw) }
    }
}
