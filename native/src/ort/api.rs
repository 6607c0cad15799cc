use std::ops::Deref;

use ort_sys::{ORT_API_VERSION, OrtApi, OrtApiBase};

use super::{Error, Result};

/// The function table of one loaded ONNX Runtime. It lives as long as the process, because the library is never
/// unloaded.
#[derive(Clone, Copy)]
pub struct Api(&'static OrtApi);

impl Api {
    /// # Safety
    /// `base` is the result of the library's `OrtGetApiBase`.
    pub unsafe fn from_base(base: *const OrtApiBase) -> Result<Self> {
        // SAFETY: the table of functions is static data of the library.
        unsafe { ((*base).GetApi)(ORT_API_VERSION).as_ref() }.map(Self).ok_or_else(|| {
            Error(format!("this ONNX Runtime is older than 1.{ORT_API_VERSION}, which altup-native needs"))
        })
    }

    /// The first part of the table, which every version has: enough to report an error.
    ///
    /// # Safety
    /// As [`Api::from_base`]; only functions of the first version may be called.
    pub unsafe fn oldest(base: *const OrtApiBase) -> Self {
        // SAFETY: version 1 is always there.
        Self(unsafe { &*((*base).GetApi)(1) })
    }
}

impl Deref for Api {
    type Target = OrtApi;

    fn deref(&self) -> &OrtApi {
        self.0
    }
}
