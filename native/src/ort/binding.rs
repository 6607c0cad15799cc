use std::ptr;

use ort_sys::{OrtAllocator, OrtIoBinding};

use super::session_options::text;
use super::{Api, MemoryInfo, Result, Session, Value};

/// The memory of a run's inputs and outputs.
pub struct Binding {
    api: Api,
    raw: *mut OrtIoBinding,
}

// SAFETY: ONNX Runtime ties a binding to no thread, and it is not Sync: one thread at a time uses it.
unsafe impl Send for Binding {}

impl Binding {
    pub fn new(session: &Session) -> Result<Self> {
        let api = session.api;
        let mut raw = ptr::null_mut();
        // SAFETY: the session is alive. Nothing checks that it outlives the binding: owners drop their bindings first.
        api.check(unsafe { (api.CreateIoBinding)(session.as_ptr(), &mut raw) })?;
        Ok(Self { api, raw })
    }

    /// Binds an input. ONNX Runtime shares ownership of the value, but not of the memory behind it.
    pub fn input(&mut self, name: &str, value: &Value) -> Result<()> {
        let name = text(name)?;
        // SAFETY: binding, name and value are alive. No type keeps the binding's session open; its owner does.
        self.api.check(unsafe { (self.api.BindInput)(self.raw, name.as_ptr(), value.as_ptr()) })
    }

    pub fn output(&mut self, name: &str, value: &Value) -> Result<()> {
        let name = text(name)?;
        // SAFETY: as in `input`.
        self.api.check(unsafe { (self.api.BindOutput)(self.raw, name.as_ptr(), value.as_ptr()) })
    }

    /// Makes ONNX Runtime allocate this output in `memory`.
    pub fn output_in(&mut self, name: &str, memory: MemoryInfo) -> Result<()> {
        let name = text(name)?;
        // SAFETY: as in `input`; the process never releases a `MemoryInfo`.
        self.api.check(unsafe { (self.api.BindOutputToDevice)(self.raw, name.as_ptr(), memory.as_ptr()) })
    }

    /// Outputs of the last run, in binding order.
    pub fn outputs(&self) -> Result<Vec<Value>> {
        let api = &self.api;
        let (mut allocator, mut values, mut count): (*mut OrtAllocator, _, _) =
            (ptr::null_mut(), ptr::null_mut(), 0);
        // SAFETY: the binding is alive. ONNX Runtime writes `count` values, which we now own, to a list of the default
        // allocator, which frees it here.
        unsafe {
            api.check((api.GetAllocatorWithDefaultOptions)(&mut allocator))?;
            api.check((api.GetBoundOutputValues)(self.raw, allocator, &mut values, &mut count))?;
            if count == 0 {
                return Ok(Vec::new());
            }
            let owned = std::slice::from_raw_parts(values, count)
                .iter()
                .map(|raw| Value::from_raw(*api, *raw))
                .collect();
            api.check((api.AllocatorFree)(allocator, values.cast()))?;
            Ok(owned)
        }
    }

    pub fn as_ptr(&self) -> *const OrtIoBinding {
        self.raw
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        // SAFETY: ONNX Runtime made the binding for us, and this is its only release.
        unsafe { (self.api.ReleaseIoBinding)(self.raw) }
    }
}
