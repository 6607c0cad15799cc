use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};

use napi::Env;
use napi::bindgen_prelude::{AsyncTask, Float32Array, Int32Array};
use napi_derive::napi;

use super::blocking::{Blocking, blocking, guarded};
use super::live::{Interrupt, keep};
use crate::ort::{Error, Library, Provider, Result, RunOptions};
use crate::session::{Destination, Model, ModelOptions};

#[napi(object)]
pub struct NativeModelOptions {
    pub decoder: String,
    pub encoder: Option<String>,
    pub slots: u32,
    pub capacity: u32,
    pub encoder_capacity: u32,
    pub vocab_size: u32,
    pub threads: u32,
    /// An execution provider as ONNX Runtime calls it; absent: the CPU.
    pub provider: Option<String>,
    pub provider_options: Option<HashMap<String, String>>,
    /// false: the function bodies in the model instead of the kernels of `ai.altup`.
    pub kernels: Option<bool>,
    /// Session options of ONNX Runtime by key.
    pub config: Option<HashMap<String, String>>,
}

impl From<NativeModelOptions> for ModelOptions {
    fn from(given: NativeModelOptions) -> Self {
        let pairs = |map: Option<HashMap<String, String>>| map.unwrap_or_default().into_iter().collect();
        let provider_options = pairs(given.provider_options);
        Self {
            decoder: given.decoder.into(),
            encoder: given.encoder.map(Into::into),
            slots: given.slots as usize,
            capacity: given.capacity as usize,
            encoder_capacity: given.encoder_capacity as usize,
            vocabulary: given.vocab_size as usize,
            threads: given.threads,
            provider: given.provider.map(|name| Provider { name, options: provider_options }),
            kernels: given.kernels.unwrap_or(true),
            config: pairs(given.config),
        }
    }
}

/// A model between JavaScript and the thread that runs it.
struct Shared {
    /// None: not open yet, closed, or failed to open.
    model: Mutex<Option<Model>>,
    run: RunOptions,
    stopped: AtomicBool,
    /// Nanoseconds that ONNX Runtime took for the last decode step.
    run_time: AtomicU64,
}

impl Interrupt for Shared {
    fn interrupt(&self) {
        self.stopped.store(true, Ordering::Release);
        // A failure to interrupt leaves the run to end by itself.
        let _ = self.run.terminate();
    }

    fn stop(&self) {
        self.interrupt();
        drop(self.model.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Shared {
    fn with<T>(&self, call: impl FnOnce(&mut Model, &RunOptions) -> Result<T>) -> napi::Result<T> {
        guarded(|| {
            if self.stopped.load(Ordering::Acquire) {
                return Err(Error("the session was interrupted".into()));
            }
            let mut model = match self.model.try_lock() {
                Ok(model) => model,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error("another call runs on this session".into()));
                }
            };
            call(model.as_mut().ok_or_else(|| Error("the session is closed".into()))?, &self.run)
        })
    }
}

/// A decoder, its encoder if it has one, and their slot caches.
#[napi]
pub struct NativeModel {
    library: Library,
    shared: Arc<Shared>,
}

#[napi]
impl NativeModel {
    /// Loads ONNX Runtime and nothing else; the graphs are opened by `load`.
    #[napi(constructor)]
    pub fn new(env: Env, library: String) -> napi::Result<Self> {
        let library = Library::load(library.as_ref())?;
        let run = RunOptions::new(library.api)?;
        let shared = Arc::new(Shared {
            model: Mutex::new(None),
            run,
            stopped: AtomicBool::new(false),
            run_time: AtomicU64::new(0),
        });
        let weak: Weak<Shared> = Arc::downgrade(&shared);
        keep(&env, weak)?;
        Ok(Self { library, shared })
    }

    #[napi]
    pub fn load(&self, options: NativeModelOptions) -> AsyncTask<Blocking<()>> {
        let (library, shared) = (self.library, self.shared.clone());
        blocking(move || {
            let model = Model::open(library, options.into())?;
            *shared.model.lock().unwrap_or_else(PoisonError::into_inner) = Some(model);
            Ok(())
        })
    }

    #[napi]
    pub fn encode(&self, slot: u32, tokens: Int32Array) -> napi::Result<()> {
        let tokens = wide(&tokens);
        self.shared.with(|model, run| model.encode(run, slot as usize, &tokens))
    }

    /// Logits of `logitRows` are written to `logits`.
    #[napi]
    pub fn prefill(
        &self,
        slot: u32,
        tokens: Int32Array,
        past: u32,
        logit_rows: Int32Array,
        logits: Float32Array,
    ) -> napi::Result<()> {
        let (tokens, rows) = (wide(&tokens), wide(&logit_rows));
        let to = destination(&logits);
        // SAFETY: `logits` lives until the run is over.
        self.shared.with(|model, run| unsafe {
            model.prefill(run, slot as usize, (&tokens, i64::from(past), &rows), to)
        })
    }

    /// One token for each of the slots from 0 on; their logits are written to `logits`.
    #[napi]
    pub fn decode(&self, tokens: Int32Array, pasts: Int32Array, logits: Float32Array) -> napi::Result<()> {
        let (tokens, pasts) = (wide(&tokens), wide(&pasts));
        let to = destination(&logits);
        // SAFETY: `logits` lives until the run is over.
        let time = self.shared.with(|model, run| unsafe { model.decode(run, &tokens, &pasts, to) })?;
        self.shared.run_time.store(time.as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }

    #[napi]
    pub fn copy_slot(&self, from: u32, to: u32, length: u32) -> napi::Result<()> {
        self.shared.with(|model, _| model.copy_slot(from as usize, to as usize, length as usize))
    }

    /// Nanoseconds that ONNX Runtime itself took for the last decode step.
    #[napi(getter)]
    pub fn run_time(&self) -> f64 {
        self.shared.run_time.load(Ordering::Relaxed) as f64
    }

    /// Frees the model and its caches once the call that runs is over.
    #[napi]
    pub fn close(&self) -> AsyncTask<Blocking<()>> {
        let shared = self.shared.clone();
        blocking(move || {
            drop(shared.model.lock().unwrap_or_else(PoisonError::into_inner).take());
            Ok(())
        })
    }
}

fn destination(logits: &Float32Array) -> Destination {
    Destination { data: logits.as_ptr().cast_mut(), capacity: logits.len() }
}

fn wide(numbers: &[i32]) -> Vec<i64> {
    numbers.iter().copied().map(i64::from).collect()
}
