use std::collections::HashMap;
use std::ffi::CStr;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use ort_sys::{OrtAllocatorType, OrtMemType, OrtMemoryInfo};

use super::{Api, Result};

/// Describes the memory of a tensor. The process has one for each kind of memory and never releases it.
#[derive(Clone, Copy, Debug)]
pub struct MemoryInfo(*const OrtMemoryInfo);

// SAFETY: nothing changes or releases an `OrtMemoryInfo` after it is made, so any thread may read it.
unsafe impl Send for MemoryInfo {}

static KINDS: Mutex<Option<HashMap<(&'static CStr, i32), MemoryInfo>>> = Mutex::new(None);

impl MemoryInfo {
    pub fn host(api: Api) -> Result<Self> {
        Self::device(api, c"Cpu", 0)
    }

    /// Memory of device `number`, of the kind that ONNX Runtime calls `name`.
    pub fn device(api: Api, name: &'static CStr, number: i32) -> Result<Self> {
        let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = kinds.get_or_insert_default();
        if let Some(info) = kinds.get(&(name, number)) {
            return Ok(*info);
        }
        let mut raw = ptr::null_mut();
        let (kind, memory) = (OrtAllocatorType::OrtDeviceAllocator, OrtMemType::OrtMemTypeDefault);
        // SAFETY: the name is static and ends with a zero, and ONNX Runtime writes one pointer to `raw`.
        api.check(unsafe { (api.CreateMemoryInfo)(name.as_ptr(), kind, number, memory, &mut raw) })?;
        Ok(*kinds.entry((name, number)).or_insert(Self(raw)))
    }

    pub fn as_ptr(self) -> *const OrtMemoryInfo {
        self.0
    }
}
