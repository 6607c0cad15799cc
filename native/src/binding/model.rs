use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use napi::Env;
use napi::bindgen_prelude::{AsyncTask, ClassInstance, Float32Array, Int32Array, Int32ArraySlice};
use napi_derive::napi;

use super::blocking::{Blocking, blocking, guarded};
use super::choices::{Sequence, choose, choose_behind};
use super::live::{self, Interrupt};
use super::sampling::{NativeChoice, NativePrefilled, NativeSampling, scores};
use crate::memory::give_back_memory;
use crate::ort::{Cancellation, Error, Library, Provider, Result, RunOptions};
use crate::sampling::RowSampler;
use crate::session::{Model, ModelOptions, Reader, Rows, Segment, Wanted};

#[napi(object)]
pub struct NativeModelOptions {
    pub decoder: String,
    pub encoder: Option<String>,
    pub slots: u32,
    pub capacity: u32,
    pub encoder_capacity: u32,
    pub vocab_size: u32,
    /// Maximum number of keys that a query reads, for each layer with a cache; 0: all.
    pub windows: Vec<u32>,
    pub threads: u32,
    /// ONNX Runtime's name of the execution provider; absent means the CPU.
    pub provider: Option<String>,
    pub provider_options: Option<HashMap<String, String>>,
    /// false: use the model's function bodies instead of the `ai.altup` kernels.
    pub kernels: Option<bool>,
    /// Whether the cache holds codes in int8: only for a decoder-only model on the CPU, with the kernels.
    pub int8_cache: Option<bool>,
    /// ONNX Runtime session options, by key.
    pub config: Option<HashMap<String, String>>,
    /// Whether ONNX Runtime logs everything, which nodes each provider got, for example.
    pub verbose: Option<bool>,
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
            windows: given.windows.iter().map(|window| (*window > 0).then_some(*window as usize)).collect(),
            threads: given.threads,
            provider: given.provider.map(|name| Provider { name, options: provider_options }),
            kernels: given.kernels.unwrap_or(true),
            int8_cache: given.int8_cache.unwrap_or(false),
            config: pairs(given.config),
            verbose: given.verbose.unwrap_or(false),
        }
    }
}

/// An open model and the sampler for its logits.
struct Open {
    model: Model,
    sampler: RowSampler,
}

/// The state that JavaScript shares with the thread that runs the model.
struct Shared {
    /// None: not open yet, closed, or failed to open.
    open: Mutex<Option<Open>>,
    run: RunOptions,
    loading: Cancellation,
    stopped: AtomicBool,
    /// Nanoseconds that ONNX Runtime took for the last decode step.
    run_time: AtomicU64,
}

impl Interrupt for Shared {
    fn interrupt(&self) {
        self.stopped.store(true, Ordering::Release);
        self.loading.cancel();
        // If this fails, the run ends by itself.
        let _ = self.run.terminate();
    }

    fn stop(&self) {
        self.interrupt();
        drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Shared {
    fn with<T>(&self, call: impl FnOnce(&mut Open, &RunOptions) -> Result<T>) -> napi::Result<T> {
        guarded(|| {
            if self.stopped.load(Ordering::Acquire) {
                return Err(Error("the session was interrupted".into()));
            }
            let mut open = match self.open.try_lock() {
                Ok(open) => open,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error("another call runs on this session".into()));
                }
            };
            call(open.as_mut().ok_or_else(|| Error("the session is closed".into()))?, &self.run)
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
    /// Loads only ONNX Runtime; `load` opens the graphs.
    #[napi(constructor)]
    pub fn new(env: Env, library: String) -> napi::Result<Self> {
        let library = live::library(&env, &library)?;
        let run = RunOptions::new(library.api)?;
        let shared = Arc::new(Shared {
            open: Mutex::new(None),
            run,
            loading: Cancellation::default(),
            stopped: AtomicBool::new(false),
            run_time: AtomicU64::new(0),
        });
        let weak: Weak<Shared> = Arc::downgrade(&shared);
        live::keep(&env, weak);
        Ok(Self { library, shared })
    }

    #[napi]
    pub fn load(&self, options: NativeModelOptions) -> AsyncTask<Blocking<()>> {
        let (library, shared) = (self.library, self.shared.clone());
        blocking(move || {
            let sampler = RowSampler::new(options.threads as usize);
            let model = Model::open(library, &shared.loading, options.into())?;
            *shared.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Open { model, sampler });
            // Opening takes a multiple of what an open model keeps.
            give_back_memory();
            Ok(())
        })
    }

    #[napi]
    pub fn encode(&self, slot: u32, tokens: Int32Array) -> napi::Result<()> {
        let tokens = wide(&tokens);
        self.shared.with(|Open { model, .. }, run| model.encode(run, slot as usize, &tokens))
    }

    /// Numbers in a final state of the encoder; 0 for a decoder-only model.
    #[napi(getter)]
    pub fn encoder_width(&self) -> napi::Result<u32> {
        self.shared.with(|Open { model, .. }, _| Ok(model.encoder_width() as u32))
    }

    /// The encoder's final states over `tokens`, one after another.
    #[napi]
    pub fn embed(&self, tokens: Int32Array) -> napi::Result<Float32Array> {
        let tokens = wide(&tokens);
        self.shared.with(|Open { model, .. }, run| model.embed(run, &tokens).map(Float32Array::new))
    }

    /// Appends `tokens` to a slot, behind its first `past` positions. `sampling` chooses the token after them.
    /// `followers[i]` is the token after token i: it gets a score, together with the `alternatives` most likely tokens.
    #[napi]
    pub fn prefill(
        &self,
        slot: u32,
        tokens: Int32Array,
        past: u32,
        sampling: Option<ClassInstance<NativeSampling>>,
        followers: Int32Array,
        alternatives: u32,
    ) -> napi::Result<NativePrefilled> {
        let tokens = wide(&tokens);
        let last = tokens.len() as i64 - 1;
        let mut rows: Vec<i64> = (0..followers.len() as i64).collect();
        if sampling.is_some() && rows.last() != Some(&last) {
            rows.push(last);
        }
        self.shared.with(|Open { model, sampler }, run| {
            let reader = if followers.is_empty() { Reader::Sampler } else { Reader::Host };
            let mut logits = model.prefill(run, slot as usize, (&tokens, i64::from(past), &rows), reader)?;
            let mut scored = Vec::new();
            if let Rows::Host { logits, vocabulary } = logits {
                if let Some(bad) = NativePrefilled::bad(&logits[..vocabulary * followers.len()], vocabulary) {
                    return Ok(bad);
                }
                scored = scores(logits, vocabulary, &followers, alternatives)?;
            }
            let wanted = sampling.as_ref().map(|own| (rows.len() - 1, Some(&own.state)));
            // A compiled grammar already knows its first tokens, so there is nothing to wait for.
            let choice = logits.sample(sampler, wanted.as_slice(), Instant::now())?.pop();
            let sampled = choice.flatten().map(NativeChoice::from);
            Ok(NativePrefilled { sampled, scores: scored, bad_logit: None })
        })
    }

    /// Appends `tokens[i]` to slot i behind its first `pasts[i]` positions, for each i below `samplings.length`. If
    /// `samplings[i]` is set, the chosen next token replaces `tokens[i]`. Returns null if there are only tokens to
    /// report (no log probabilities, no faults), which saves making objects at every step.
    #[napi]
    pub fn decode(
        &self,
        mut tokens: Int32ArraySlice,
        pasts: &[i32],
        samplings: Vec<Option<ClassInstance<NativeSampling>>>,
    ) -> napi::Result<Option<Vec<Option<NativeChoice>>>> {
        // SAFETY: JavaScript waits for this call. This relies on `pasts` being another array and on no other thread
        // sharing `tokens`: nothing checks that.
        let tokens = unsafe { tokens.as_mut() };
        let states: Vec<_> = samplings.iter().map(|own| own.as_ref().map(|own| &own.state)).collect();
        self.shared.with(|Open { model, sampler }, run| {
            let (rows, slots) = (states.len(), tokens.len().min(pasts.len()));
            if rows > slots {
                return Err(Error(format!("{rows} rows for {slots} slots")));
            }
            let (mut logits, time) = model.decode(run, &wide(&tokens[..rows]), &wide(&pasts[..rows]))?;
            self.shared.run_time.store(time.as_nanos() as u64, Ordering::Relaxed);
            let wanted: Vec<Wanted> = states.into_iter().enumerate().collect();
            let choices = choose(sampler, &mut logits, &wanted, time)?;
            for (token, choice) in tokens.iter_mut().zip(&choices) {
                if let Some(Ok(sampled)) = choice {
                    *token = sampled.token as i32;
                }
            }
            let is_plain = choices
                .iter()
                .flatten()
                .all(|choice| choice.as_ref().is_ok_and(|sampled| sampled.logprobs.is_none()));
            let told = || choices.into_iter().map(|choice| choice.map(NativeChoice::from)).collect();
            Ok((!is_plain).then(told))
        })
    }

    /// Whether `pack` is possible.
    #[napi]
    pub fn packs(&self) -> napi::Result<bool> {
        self.shared.with(|Open { model, .. }, _| Ok(model.packs()))
    }

    /// Appends tokens to several slots in one run. `segments` has four numbers for each slot: the slot, its filled
    /// positions, its number of new `tokens`, and how many of these are a guess. `samplings[i]` chooses the token behind
    /// segment i: behind each of its guessed tokens and the one before, until one is not the guess. The last choice of a
    /// segment may be a fault.
    #[napi]
    pub fn pack(
        &self,
        tokens: Int32Array,
        segments: Int32Array,
        samplings: Vec<Option<ClassInstance<NativeSampling>>>,
    ) -> napi::Result<Vec<Vec<NativeChoice>>> {
        self.run_segments((&tokens, &segments), &samplings, Model::pack)
    }

    /// Like `pack`, but for any model. Segment i belongs to slot i. All are padded to the longest, so each slot needs as
    /// many free positions.
    #[napi]
    pub fn verify(
        &self,
        tokens: Int32Array,
        segments: Int32Array,
        samplings: Vec<Option<ClassInstance<NativeSampling>>>,
    ) -> napi::Result<Vec<Vec<NativeChoice>>> {
        self.run_segments((&tokens, &segments), &samplings, Model::decode_segments)
    }

    #[napi]
    pub fn copy_slot(&self, from: u32, to: u32, length: u32) -> napi::Result<()> {
        self.shared.with(|Open { model, .. }, _| model.copy_slot(from as usize, to as usize, length as usize))
    }

    #[napi]
    pub fn trim_slot(&self, slot: u32, length: u32, cut: u32) -> napi::Result<()> {
        self.shared
            .with(|Open { model, .. }, _| model.trim_slot(slot as usize, length as usize, cut as usize))
    }

    /// Nanoseconds that ONNX Runtime itself took for the last decode step.
    #[napi(getter)]
    pub fn run_time(&self) -> f64 {
        self.shared.run_time.load(Ordering::Relaxed) as f64
    }

    /// Frees the model and its caches after the running call.
    #[napi]
    pub fn close(&self) -> AsyncTask<Blocking<()>> {
        let shared = self.shared.clone();
        blocking(move || {
            drop(shared.open.lock().unwrap_or_else(PoisonError::into_inner).take());
            give_back_memory();
            Ok(())
        })
    }
}

/// Computes segments and returns their logits at the given rows, as `Model::pack` does.
type Run =
    for<'a> fn(&'a mut Model, &RunOptions, &[Segment], (&[i64], &[i64])) -> Result<(Rows<'a>, Duration)>;

impl NativeModel {
    fn run_segments(
        &self,
        (tokens, segments): (&[i32], &[i32]),
        samplings: &[Option<ClassInstance<NativeSampling>>],
        compute: Run,
    ) -> napi::Result<Vec<Vec<NativeChoice>>> {
        let tokens = wide(tokens);
        let guesses = segments.chunks_exact(4).map(|numbers| numbers[3].max(0) as usize);
        let segments = segments.chunks_exact(4).map(segment).collect::<Result<Vec<_>>>()?;
        if segments.len() != samplings.len() {
            let (count, wanted) = (samplings.len(), segments.len());
            return Err(Error(format!("{count} samplings for {wanted} segments")).into());
        }
        let (mut rows, mut sequences, mut end) = (Vec::new(), Vec::new(), 0);
        for ((segment, guessed), sampling) in segments.iter().zip(guesses).zip(samplings) {
            end += segment.count;
            let Some(sampling) = sampling else { continue };
            let guess = end.checked_sub(guessed).and_then(|from| tokens.get(from..end));
            let guess = guess.filter(|guess| guess.len() < segment.count).ok_or_else(|| {
                Error(format!("a guess of {guessed} in {} of {} tokens", segment.count, tokens.len()))
            })?;
            rows.extend((end - 1 - guessed) as i64..end as i64);
            sequences.push(Sequence { state: &sampling.state, guess });
        }
        self.shared.with(|Open { model, sampler }, run| {
            let (mut logits, time) = compute(model, run, &segments, (&tokens, &rows))?;
            let mut chosen = choose_behind(sampler, &mut logits, &sequences, time)?.into_iter();
            let mut next = || chosen.next().unwrap_or_default().into_iter().map(NativeChoice::from).collect();
            Ok(samplings.iter().map(|own| if own.is_some() { next() } else { Vec::new() }).collect())
        })
    }
}

/// `numbers`: slot, filled positions, new tokens, guessed tokens.
fn segment(numbers: &[i32]) -> Result<Segment> {
    let count = |number: i32| usize::try_from(number).map_err(|_| Error(format!("segment {numbers:?}")));
    Ok(Segment { slot: count(numbers[0])?, past: i64::from(numbers[1]), count: count(numbers[2])? })
}

fn wide(numbers: &[i32]) -> Vec<i64> {
    numbers.iter().copied().map(i64::from).collect()
}
