use std::sync::{Mutex, MutexGuard, PoisonError};

use ort_sys::OrtSessionOptions;

use super::{Api, Error, Result, SessionOptions};

/// Ends loads of sessions early, from another thread.
#[derive(Default)]
pub struct Cancellation {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_cancelled: bool,
    /// The options of the load that runs.
    options: Option<(Api, *mut OrtSessionOptions)>,
}

// SAFETY: the options are only used while `run` keeps them alive, under the lock.
unsafe impl Send for State {}

impl Cancellation {
    /// Ends the load that runs, where ONNX Runtime next looks, and refuses all later ones.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.is_cancelled = true;
        if let Some((api, options)) = state.options {
            // SAFETY: `run` waits for the lock before it lets go of the options. If this fails, the load ends by itself.
            let _ = api.check(unsafe { (api.SessionOptionsSetLoadCancellationFlag)(options, true) });
        }
    }

    /// Runs `load`, which opens a session with `options`.
    pub fn run<T>(&self, options: &SessionOptions, load: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut state = self.lock();
        if state.is_cancelled {
            return Err(Error("the load was interrupted".into()));
        }
        state.options = Some((options.api(), options.as_ptr().cast_mut()));
        drop(state);
        let loaded = load();
        self.lock().options = None;
        loaded
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
