use std::ffi::{CString, c_char};
use std::ptr;

use ort_sys::{ExecutionMode, GraphOptimizationLevel, OrtLoggingLevel, OrtSessionOptions};

use super::{Api, Error, Result};
use crate::ops::Operators;

/// An execution provider with ONNX Runtime's name for it (`CUDA`, `TensorRT`, `WebGPU`) and its options.
#[derive(Clone, Debug, Default)]
pub struct Provider {
    pub name: String,
    pub options: Vec<(String, String)>,
}

/// Options for opening a session.
pub struct SessionOptions {
    api: Api,
    raw: *mut OrtSessionOptions,
}

impl SessionOptions {
    /// Runs one operator after the other, each on `threads` threads. Disables the cache of memory patterns: it has an
    /// entry per input shape, and shapes change with every step.
    pub fn new(api: Api, threads: u32) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: ONNX Runtime writes one pointer to `raw`.
        api.check(unsafe { (api.CreateSessionOptions)(&mut raw) })?;
        let options = Self { api, raw };
        let threads = i32::try_from(threads).map_err(|_| Error(format!("{threads} threads are too many")))?;
        // SAFETY: `options` keeps `raw` alive, and no session uses it yet.
        unsafe {
            api.check((api.SetIntraOpNumThreads)(raw, threads))?;
            api.check((api.SetInterOpNumThreads)(raw, 1))?;
            api.check((api.SetSessionExecutionMode)(raw, ExecutionMode::ORT_SEQUENTIAL))?;
            api.check((api.DisableMemPattern)(raw))?;
        }
        Ok(options)
    }

    pub fn optimization(&self, enabled: bool) -> Result<()> {
        let level = if enabled {
            GraphOptimizationLevel::ORT_ENABLE_ALL
        } else {
            GraphOptimizationLevel::ORT_DISABLE_ALL
        };
        // SAFETY: the options are alive and, because they are not Sync, changed by one thread only.
        self.api.check(unsafe { (self.api.SetSessionGraphOptimizationLevel)(self.raw, level) })
    }

    pub fn config(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (text(key)?, text(value)?);
        // SAFETY: as in `optimization`; ONNX Runtime copies both strings, which end with a zero.
        self.api.check(unsafe { (self.api.AddSessionConfigEntry)(self.raw, key.as_ptr(), value.as_ptr()) })
    }

    pub fn log_everything(&self) -> Result<()> {
        let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_VERBOSE;
        // SAFETY: as in `optimization`.
        self.api.check(unsafe { (self.api.SetSessionLogSeverityLevel)(self.raw, level as i32) })
    }

    /// Writes a trace of every run to a file whose name begins with `prefix`.
    #[cfg(unix)]
    pub fn profile(&self, prefix: &str) -> Result<()> {
        let prefix = text(prefix)?;
        // SAFETY: as in `optimization`; ONNX Runtime copies the prefix, which ends with a zero.
        self.api.check(unsafe { (self.api.EnableProfiling)(self.raw, prefix.as_ptr()) })
    }

    #[cfg(not(unix))]
    pub fn profile(&self, _: &str) -> Result<()> {
        Err(Error("profiling is only supported on Unix".into()))
    }

    pub fn kernels(&self, operators: Operators) -> Result<()> {
        // SAFETY: this library made these options.
        unsafe { crate::ops::add_to_session_options(self.api, self.raw, operators) }
    }

    pub fn provider(&self, provider: &Provider) -> Result<()> {
        let (keys, values): (Vec<_>, Vec<_>) = provider.options.iter().cloned().unzip();
        let keys = keys.iter().map(|key| text(key)).collect::<Result<Vec<_>>>()?;
        let values = values.iter().map(|value| text(value)).collect::<Result<Vec<_>>>()?;
        let keys: Vec<*const c_char> = keys.iter().map(|key| key.as_ptr()).collect();
        let values: Vec<*const c_char> = values.iter().map(|value| value.as_ptr()).collect();
        let api = &self.api;
        let (keys, values, count) = (keys.as_ptr(), values.as_ptr(), provider.options.len());
        // SAFETY: both lists hold `count` strings that outlive the calls.
        unsafe {
            match provider.name.as_str() {
                "CUDA" => {
                    let mut options = ptr::null_mut();
                    api.check((api.CreateCUDAProviderOptions)(&mut options))?;
                    let result = api
                        .check((api.UpdateCUDAProviderOptions)(options, keys, values, count))
                        .and_then(|()| {
                            api.check((api.SessionOptionsAppendExecutionProvider_CUDA_V2)(self.raw, options))
                        });
                    (api.ReleaseCUDAProviderOptions)(options);
                    result
                }
                "TensorRT" => {
                    let mut options = ptr::null_mut();
                    api.check((api.CreateTensorRTProviderOptions)(&mut options))?;
                    let result = api
                        .check((api.UpdateTensorRTProviderOptions)(options, keys, values, count))
                        .and_then(|()| {
                            api.check((api.SessionOptionsAppendExecutionProvider_TensorRT_V2)(
                                self.raw, options,
                            ))
                        });
                    (api.ReleaseTensorRTProviderOptions)(options);
                    // CUDA runs the operators that TensorRT does not have.
                    result
                        .and_then(|()| self.provider(&Provider { name: "CUDA".into(), options: Vec::new() }))
                }
                name => {
                    let name = text(name)?;
                    api.check((api.SessionOptionsAppendExecutionProvider)(
                        self.raw,
                        name.as_ptr(),
                        keys,
                        values,
                        count,
                    ))
                }
            }
        }
    }

    pub fn api(&self) -> Api {
        self.api
    }

    pub fn as_ptr(&self) -> *const OrtSessionOptions {
        self.raw
    }
}

impl Drop for SessionOptions {
    fn drop(&mut self) {
        // SAFETY: sessions keep their own copy of the options, and this is the only release.
        unsafe { (self.api.ReleaseSessionOptions)(self.raw) }
    }
}

pub fn text(value: &str) -> Result<CString> {
    CString::new(value).map_err(|_| Error(format!("{value:?} holds a zero byte")))
}
