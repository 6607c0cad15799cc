use std::ffi::{CStr, c_int};
use std::ptr;

use ort_sys::{OrtKernelInfo, OrtMemoryInfoDeviceType, OrtValue};

use super::compute::Tensor;
use crate::ort::{Api, Error, Result};

/// A node's attributes and inputs, for making its kernel.
pub struct KernelInfo {
    api: Api,
    info: *const OrtKernelInfo,
    op: &'static CStr,
}

impl KernelInfo {
    pub fn new(api: Api, info: *const OrtKernelInfo, op: &'static CStr) -> Self {
        Self { api, info, op }
    }

    pub fn error(&self, text: std::fmt::Arguments<'_>) -> Error {
        Error(format!("ai.altup.{}: {text}", self.op.to_string_lossy()))
    }

    pub fn integer(&self, name: &CStr) -> Result<i64> {
        let mut value = 0;
        // SAFETY: ONNX Runtime keeps `info` valid while it makes the kernel, which `self` is made for; `name` ends
        // with a zero, and one number is written.
        let status = unsafe { (self.api.KernelInfoGetAttribute_int64)(self.info, name.as_ptr(), &mut value) };
        let missing = |_| self.error(format_args!("attribute {} is missing", name.to_string_lossy()));
        self.api.check(status).map_err(missing)?;
        Ok(value)
    }

    /// An integer attribute, at least 0: an index or a count.
    pub fn index(&self, name: &CStr) -> Result<usize> {
        let value = self.integer(name)?;
        let label = name.to_string_lossy();
        usize::try_from(value)
            .map_err(|_| self.error(format_args!("attribute {label} is {value}, below zero")))
    }

    pub fn float(&self, name: &CStr) -> Result<f32> {
        let mut value = 0.0;
        // SAFETY: as in `integer`.
        let status = unsafe { (self.api.KernelInfoGetAttribute_float)(self.info, name.as_ptr(), &mut value) };
        let missing = |_| self.error(format_args!("attribute {} is missing", name.to_string_lossy()));
        self.api.check(status).map_err(missing)?;
        Ok(value)
    }

    pub fn text(&self, name: &CStr) -> Result<String> {
        let label = name.to_string_lossy();
        let missing = |_| self.error(format_args!("attribute {label} is missing"));
        let mut size = 0;
        // SAFETY: as in `integer`; `buffer` is null, which asks for the size, or has room for `size` bytes.
        let read = |buffer, size: &mut usize| unsafe {
            self.api.check((self.api.KernelInfoGetAttribute_string)(self.info, name.as_ptr(), buffer, size))
        };
        read(ptr::null_mut(), &mut size).map_err(missing)?;
        let mut bytes = vec![0_u8; size];
        read(bytes.as_mut_ptr().cast(), &mut size).map_err(missing)?;
        Ok(CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy().into_owned())
    }

    /// The first dimension of an input, if the graph states it.
    pub fn first_dim(&self, input: usize) -> Result<Option<usize>> {
        let api = &self.api;
        let (mut type_info, mut tensor, mut rank) = (ptr::null_mut(), ptr::null(), 0);
        // SAFETY: as in `integer`. `type_info` owns `tensor` and is released once, after both are read; `dims` has room
        // for `rank` numbers.
        unsafe {
            api.check((api.KernelInfo_GetInputTypeInfo)(self.info, input, &mut type_info))?;
            let first = (|| {
                api.check((api.CastTypeInfoToTensorInfo)(type_info, &mut tensor))?;
                if tensor.is_null() {
                    return Ok(None);
                }
                api.check((api.GetDimensionsCount)(tensor, &mut rank))?;
                let mut dims = vec![0; rank];
                api.check((api.GetDimensions)(tensor, dims.as_mut_ptr(), rank))?;
                Ok(dims.first().and_then(|dim| usize::try_from(*dim).ok()))
            })();
            (api.ReleaseTypeInfo)(type_info);
            first
        }
    }

    fn is_on_host(&self, value: *const OrtValue) -> Result<bool> {
        let (api, mut memory) = (&self.api, ptr::null());
        let mut device = OrtMemoryInfoDeviceType::OrtMemoryInfoDeviceType_CPU;
        // SAFETY: `value` is a constant tensor of this node, and it owns the memory info that is read here.
        unsafe {
            api.check((api.GetTensorMemoryInfo)(value, &mut memory))?;
            (api.MemoryInfoGetDeviceType)(memory, &mut device);
        }
        Ok(device == OrtMemoryInfoDeviceType::OrtMemoryInfoDeviceType_CPU)
    }

    /// The input's value, if it is constant and in host memory.
    pub fn constant(&self, input: usize) -> Result<Option<Tensor<'_>>> {
        let mut is_constant: c_int = 0;
        let mut value: *const OrtValue = ptr::null();
        // SAFETY: as in `integer`; ONNX Runtime writes one number and one pointer.
        self.api.check(unsafe {
            (self.api.KernelInfoGetConstantInput_tensor)(self.info, input, &mut is_constant, &mut value)
        })?;
        if is_constant == 0 || value.is_null() || !self.is_on_host(value)? {
            return Ok(None);
        }
        // SAFETY: the value lives as long as the kernel's node does.
        Ok(Some(unsafe { Tensor::of(&self.api, value.cast_mut()) }?))
    }
}
