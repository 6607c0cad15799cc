use std::ptr;

use ort_sys::OrtRunOptions;

use super::{Api, Result};

/// Options of a run. Another thread can interrupt the run through them.
pub struct RunOptions {
    api: Api,
    raw: *mut OrtRunOptions,
}

// Other threads may set the flag that `terminate` sets.
unsafe impl Send for RunOptions {}
unsafe impl Sync for RunOptions {}

impl RunOptions {
    pub fn new(api: Api) -> Result<Self> {
        let mut raw = ptr::null_mut();
        api.check(unsafe { (api.CreateRunOptions)(&mut raw) })?;
        Ok(Self { api, raw })
    }

    /// Makes runs with these options, now or later, fail at the next operator.
    pub fn terminate(&self) -> Result<()> {
        self.api.check(unsafe { (self.api.RunOptionsSetTerminate)(self.raw) })
    }

    pub fn as_ptr(&self) -> *const OrtRunOptions {
        self.raw
    }
}

impl Drop for RunOptions {
    fn drop(&mut self) {
        unsafe { (self.api.ReleaseRunOptions)(self.raw) }
    }
}
