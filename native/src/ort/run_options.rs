use std::ptr;

use ort_sys::OrtRunOptions;

use super::{Api, Result};

/// Options of a run. Another thread can interrupt the run through them.
pub struct RunOptions {
    api: Api,
    raw: *mut OrtRunOptions,
}

// SAFETY: ONNX Runtime ties run options to no thread.
unsafe impl Send for RunOptions {}
// SAFETY: `terminate` is the only change after `new`. ONNX Runtime documents it for runs on other threads.
unsafe impl Sync for RunOptions {}

impl RunOptions {
    pub fn new(api: Api) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: ONNX Runtime writes one pointer to `raw`.
        api.check(unsafe { (api.CreateRunOptions)(&mut raw) })?;
        Ok(Self { api, raw })
    }

    /// Makes runs with these options, now or later, fail at the next operator.
    pub fn terminate(&self) -> Result<()> {
        // SAFETY: the options are alive until `drop`, and their flag may be set during a run.
        self.api.check(unsafe { (self.api.RunOptionsSetTerminate)(self.raw) })
    }

    pub fn as_ptr(&self) -> *const OrtRunOptions {
        self.raw
    }
}

impl Drop for RunOptions {
    fn drop(&mut self) {
        // SAFETY: runs borrow the options, so none uses them now, and this is their only release.
        unsafe { (self.api.ReleaseRunOptions)(self.raw) }
    }
}
