use std::ffi::{CStr, CString};
use std::fmt;

use ort_sys::{OrtErrorCode, OrtStatusPtr};

use super::Api;

/// An error message for the person who reads the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub String);

pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl Api {
    /// Turns a status from ONNX Runtime into a result.
    #[inline(always)]
    pub fn check(&self, status: OrtStatusPtr) -> Result<()> {
        if status.0.is_null() { Ok(()) } else { self.take_error(status) }
    }

    #[cold]
    fn take_error(&self, status: OrtStatusPtr) -> Result<()> {
        // SAFETY: a status that is not null is a live object that the caller owns; it is released here, once.
        unsafe {
            let text = CStr::from_ptr((self.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
            (self.ReleaseStatus)(status.0);
            Err(Error(text))
        }
    }

    /// Turns a result into a status, which ONNX Runtime releases.
    pub fn status(&self, result: Result<()>) -> OrtStatusPtr {
        match result {
            Ok(()) => OrtStatusPtr::default(),
            Err(Error(text)) => {
                let text = CString::new(text.replace('\0', " ")).expect("no zero is left in it");
                // SAFETY: the text is copied.
                unsafe { (self.CreateStatus)(OrtErrorCode::ORT_INVALID_ARGUMENT, text.as_ptr()) }
            }
        }
    }

    /// Status of a function that ONNX Runtime calls. A panic becomes an error and never crosses into ONNX Runtime.
    pub fn guard(&self, run: impl FnOnce() -> Result<()>) -> OrtStatusPtr {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
            .unwrap_or_else(|panic| Err(Error(format!("panic: {}", panic_text(&*panic)))));
        self.status(result)
    }
}

pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown")
}
