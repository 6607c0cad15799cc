use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr;

use ort_sys::{ONNXTensorElementDataType, OrtAllocator, OrtSession, OrtStatusPtr, OrtTypeInfo};

use super::{Api, Binding, Element, Library, Result, RunOptions, SessionOptions};
use crate::kernels::quantized_product::begin_chunk;
use crate::ops::mapped_file::loaded;
use crate::ops::tied_matrix;

/// An input or output of a graph. A dimension that is not fixed is -1.
#[derive(Clone, Debug)]
pub struct Port {
    pub name: String,
    pub element: ONNXTensorElementDataType,
    pub dims: Vec<i64>,
}

/// A loaded graph.
pub struct Session {
    pub api: Api,
    raw: *mut OrtSession,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
}

// SAFETY: ONNX Runtime's sessions may be used and released on any thread.
unsafe impl Send for Session {}
// SAFETY: ONNX Runtime's sessions can run on several threads at once. Callers end profiling between runs.
unsafe impl Sync for Session {}

/// Creates a session. Its kernels' packed matrices share memory with no other session's, and the file's pages that they
/// replace are given back.
fn create(api: Api, session: impl FnOnce() -> OrtStatusPtr) -> Result<()> {
    begin_chunk();
    let created = api.check(session());
    tied_matrix::forget();
    loaded(created.is_ok());
    created
}

impl Session {
    pub fn open(library: Library, path: &Path, options: &SessionOptions) -> Result<Self> {
        let api = library.api;
        let mut raw = ptr::null_mut();
        let path = os_path(path)?;
        // SAFETY: environment and options are alive, and `os_path` ends with a zero in the platform's character type.
        create(api, || unsafe {
            (api.CreateSession)(library.env(), path.as_ptr(), options.as_ptr(), &mut raw)
        })?;
        Self::describe(api, raw)
    }

    /// Opens a graph from `model`, which includes the weights.
    pub fn from_bytes(library: Library, model: &[u8], options: &SessionOptions) -> Result<Self> {
        let api = library.api;
        let mut raw = ptr::null_mut();
        let (data, size) = (model.as_ptr().cast(), model.len());
        // SAFETY: `data` holds `size` bytes. ONNX Runtime does not keep them, unless a caller sets
        // `session.use_ort_model_bytes_directly`: nothing refuses it, but no caller does.
        create(api, || unsafe {
            (api.CreateSessionFromArray)(library.env(), data, size, options.as_ptr(), &mut raw)
        })?;
        Self::describe(api, raw)
    }

    fn describe(api: Api, raw: *mut OrtSession) -> Result<Self> {
        let mut session = Self { api, raw, inputs: Vec::new(), outputs: Vec::new() };
        session.inputs =
            session.ports(api.SessionGetInputCount, api.SessionGetInputName, api.SessionGetInputTypeInfo)?;
        session.outputs = session.ports(
            api.SessionGetOutputCount,
            api.SessionGetOutputName,
            api.SessionGetOutputTypeInfo,
        )?;
        Ok(session)
    }

    fn ports(
        &self,
        count: unsafe extern "system" fn(*const OrtSession, *mut usize) -> OrtStatusPtr,
        name: unsafe extern "system" fn(
            *const OrtSession,
            usize,
            *mut OrtAllocator,
            *mut *mut c_char,
        ) -> OrtStatusPtr,
        info: unsafe extern "system" fn(*const OrtSession, usize, *mut *mut OrtTypeInfo) -> OrtStatusPtr,
    ) -> Result<Vec<Port>> {
        let api = &self.api;
        let mut total = 0;
        let mut allocator: *mut OrtAllocator = ptr::null_mut();
        // SAFETY: the session is alive, and the functions come from its own ONNX Runtime.
        unsafe {
            api.check(count(self.raw, &mut total))?;
            api.check((api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
        }
        (0..total)
            // SAFETY: `index` is below the count just read. A name ends with a zero and goes back to the allocator that
            // it came from; the type is read before its only release.
            .map(|index| unsafe {
                let (mut text, mut type_info) = (ptr::null_mut(), ptr::null_mut());
                api.check(name(self.raw, index, allocator, &mut text))?;
                let name = CStr::from_ptr(text).to_string_lossy().into_owned();
                api.check((api.AllocatorFree)(allocator, text.cast()))?;
                api.check(info(self.raw, index, &mut type_info))?;
                let tensor = self.tensor_type(type_info);
                (api.ReleaseTypeInfo)(type_info);
                let (element, dims) = tensor?;
                Ok(Port { name, element, dims })
            })
            .collect()
    }

    /// # Safety
    /// `type_info` is alive.
    unsafe fn tensor_type(
        &self,
        type_info: *const OrtTypeInfo,
    ) -> Result<(ONNXTensorElementDataType, Vec<i64>)> {
        let api = &self.api;
        let (mut tensor, mut rank) = (ptr::null(), 0);
        let mut element = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        // SAFETY: the caller keeps `type_info` alive, which owns `tensor`; `dims` has room for `rank` numbers.
        unsafe {
            api.check((api.CastTypeInfoToTensorInfo)(type_info, &mut tensor))?;
            if tensor.is_null() {
                return Ok((element, Vec::new()));
            }
            api.check((api.GetTensorElementType)(tensor, &mut element))?;
            api.check((api.GetDimensionsCount)(tensor, &mut rank))?;
            let mut dims = vec![0; rank];
            api.check((api.GetDimensions)(tensor, dims.as_mut_ptr(), rank))?;
            Ok((element, dims))
        }
    }

    /// Element type of the input or output `name`; None if the graph has no such port or [`Element`] lacks its type.
    pub fn element_of(&self, name: &str) -> Option<Element> {
        let port = self.inputs.iter().chain(&self.outputs).find(|port| port.name == name)?;
        Element::of(port.element)
    }

    pub fn run(&self, options: &RunOptions, binding: &Binding) -> Result<()> {
        // SAFETY: all three are alive, and the binding is not Sync, so no other run uses it. Whoever made the bound
        // values keeps their memory valid (`Value::view_in`).
        self.api.check(unsafe { (self.api.RunWithBinding)(self.raw, options.as_ptr(), binding.as_ptr()) })
    }

    pub fn as_ptr(&self) -> *mut OrtSession {
        self.raw
    }

    /// Ends profiling and returns the name of the written file.
    pub fn end_profiling(&self) -> Result<String> {
        let api = &self.api;
        let (mut allocator, mut text) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the session is alive. The name ends with a zero and goes back to the allocator that it came from.
        unsafe {
            api.check((api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
            api.check((api.SessionEndProfiling)(self.raw, allocator, &mut text))?;
            let name = CStr::from_ptr(text).to_string_lossy().into_owned();
            api.check((api.AllocatorFree)(allocator, text.cast()))?;
            Ok(name)
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: ONNX Runtime made the session for us, runs borrow it, and this is its only release. Nothing checks
        // that its environment is still there: `Library::release` demands it of its caller.
        unsafe { (self.api.ReleaseSession)(self.raw) }
    }
}

#[cfg(unix)]
fn os_path(path: &Path) -> Result<std::ffi::CString> {
    super::session_options::text(&path.to_string_lossy())
}

#[cfg(windows)]
fn os_path(path: &Path) -> Result<Vec<u16>> {
    use std::os::windows::ffi::OsStrExt;
    Ok(path.as_os_str().encode_wide().chain([0]).collect())
}
