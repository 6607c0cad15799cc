use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Mutex;

use ort_sys::{OrtApiBase, OrtEnv, OrtLoggingLevel};

use super::{Api, Error, Result};

/// The one ONNX Runtime of this process and our share of its environment. The library is never unloaded:
/// onnxruntime-node and ONNX Runtime's threads may still run in it while the process ends.
#[derive(Clone, Copy)]
pub struct Library {
    pub api: Api,
    env: *mut OrtEnv,
}

// SAFETY: the process never unloads the function table, and ONNX Runtime locks its environment itself.
unsafe impl Send for Library {}
// SAFETY: as for Send.
unsafe impl Sync for Library {}

static LOADED: Mutex<Option<(PathBuf, Library)>> = Mutex::new(None);

impl Library {
    /// Opens the library at `path`, or returns it if it is already open. Fails if another one is open.
    pub fn load(path: &Path) -> Result<Self> {
        let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*loaded {
            Some((open, library)) if open == path => Ok(*library),
            Some((open, _)) => {
                Err(Error(format!("ONNX Runtime is open from {}, not {}", open.display(), path.display())))
            }
            None => {
                let library = Self::open(path)?;
                *loaded = Some((path.to_owned(), library));
                Ok(library)
            }
        }
    }

    fn open(path: &Path) -> Result<Self> {
        let failed = |error: libloading::Error| Error(format!("{} does not load: {error}", path.display()));
        // ONNX Runtime sends telemetry unless this is set when its library loads. JavaScript's `process.env` in a
        // worker thread does not reach it.
        // SAFETY: nothing else in this process changes the environment while it starts up.
        unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
        // SAFETY: initialisers of ONNX Runtime's library have no preconditions.
        let library = unsafe { libloading::Library::new(path) }.map_err(failed)?;
        // SAFETY: the function has this type in every version.
        let api = unsafe {
            let get: libloading::Symbol<unsafe extern "system" fn() -> *const OrtApiBase> =
                library.get("OrtGetApiBase").map_err(failed)?;
            Api::from_base(get())?
        };
        std::mem::forget(library);
        let mut env: *mut OrtEnv = ptr::null_mut();
        // SAFETY: the name ends with a zero, ONNX Runtime copies it, and `env` is alive once CreateEnv succeeds.
        unsafe {
            let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_WARNING;
            api.check((api.CreateEnv)(level, c"altup".as_ptr(), &mut env))?;
            api.check((api.DisableTelemetryEvents)(env))?;
        }
        Ok(Self { api, env })
    }

    /// Releases our share of the environment. Otherwise objects that providers hold until the process ends, such as
    /// WebGPU's device, would outlive what they depend on.
    ///
    /// # Safety
    /// Nothing that was made with it is left or used.
    pub unsafe fn release() {
        let loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some((_, library)) = loaded {
            // SAFETY: `take` left no other registered share, and the caller promises that nothing uses the environment.
            unsafe { (library.api.ReleaseEnv)(library.env) }
        }
    }

    pub fn env(&self) -> *const OrtEnv {
        self.env
    }
}
