//! Logits that stay on the device that computed them, and the tokens chosen there (cuda/sampling.cu): only tokens cross
//! the bus.

mod kept;
mod step;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::memory::{Memory, Place, bytes_of};
use crate::cuda::{ALTERNATIVES, Device, Launch, SamplingSizes, Source};
use crate::ort::{Error, Result};
use crate::sampling::{
    Choice, Fault, Logprobs, Sampled, Sampler, SamplingState, logarithm, top_weight, uniform,
};
use kept::Kept;
use step::{CHOSEN, NOT_FINITE, Partial, Row, Step};

pub const SAMPLING_SIZES: SamplingSizes =
    SamplingSizes { chunk: 4096, chunk_threads: 256, row_threads: 1024 };

/// A row of a step's logits, and the state of whoever wants a token.
pub type Wanted<'a> = (usize, Option<&'a Mutex<SamplingState>>);

pub struct DeviceLogits<D: Device> {
    program: &'static D::Program,
    sizes: SamplingSizes,
    place: Place,
    vocabulary: usize,
    logits: Room,
    /// Rows, their forbidden tokens and their masks.
    inputs: Room,
    values: Room,
    partials: Room,
    choices: Room,
    /// For rows that the device cannot sample.
    host: Sampler,
}

impl<D: Device> DeviceLogits<D> {
    /// Compiles the kernels for the device of `place`.
    pub fn new(place: Place, vocabulary: usize, sizes: SamplingSizes) -> Result<Self> {
        // Making memory makes the device current for this thread, which compiling needs.
        let room = || Room::new(place);
        let (logits, inputs, values, partials, choices) = (room()?, room()?, room()?, room()?, room()?);
        let program = D::program(Source::Sampling(sizes)).map_err(Error)?;
        let host = Sampler::default();
        Ok(Self { program, sizes, place, vocabulary, logits, inputs, values, partials, choices, host })
    }

    /// Memory for so many rows of logits, which moves when they become more.
    pub fn room_for(&mut self, rows: usize) -> Result<&dyn Memory> {
        self.logits.grow(rows * self.vocabulary * size_of::<f32>())?;
        Ok(&*self.logits.memory)
    }

    fn row_of_logits(&self, row: usize) -> *mut u8 {
        self.logits.memory.at(row * self.vocabulary * size_of::<f32>())
    }

    /// Copies a row to the host.
    fn host_row(&self, row: usize) -> Result<Vec<f32>> {
        let mut logits = vec![0.0_f32; self.vocabulary];
        // SAFETY: `room_for` made this row.
        unsafe { download(&*self.logits.memory, self.row_of_logits(row), &mut logits)? };
        Ok(logits)
    }

    /// Chooses the tokens that are wanted, each from its row. Waits for grammars until `until`.
    pub fn sample(&mut self, wanted: &[Wanted], until: Instant) -> Result<Vec<Choice>> {
        let mut choices: Vec<Choice> = wanted.iter().map(|_| None).collect();
        let (mut inputs, mut chosen, mut on_host) = (Inputs::default(), Vec::new(), Vec::new());
        for (i, (row, state)) in wanted.iter().enumerate() {
            let Some(state) = state else { continue };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if !is_possible(&state) {
                on_host.push((i, self.host_row(*row)?));
                continue;
            }
            let mask = match state.allowed_by_grammar(until) {
                Ok(mask) => mask,
                Err(fault) => {
                    choices[i] = Some(Err(fault));
                    continue;
                }
            };
            let forbidden: Vec<u32> = state.forbidden().collect();
            let (notes, bias) = self.kept(&mut state)?;
            let logits = self.row_of_logits(*row).expose_provenance();
            let row = self.row(&state, (logits, notes, bias));
            inputs.add(row, &forbidden, mask.as_ref().map(|mask| mask.as_slice()), self.vocabulary);
            chosen.push(i);
        }
        // Only after this, when nothing can fail any more, does a state advance.
        for (i, choice) in chosen.iter().zip(self.choose(&inputs)?) {
            let Some(state) = wanted[*i].1 else { continue };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            choices[*i] = Some(self.recorded(&choice, &mut state));
        }
        for (i, logits) in on_host {
            let Some(state) = wanted[i].1 else { continue };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            choices[i] = Some(self.host.sample(&logits, &mut state, until));
        }
        Ok(choices)
    }

    /// Addresses of the notes and the bias that the device keeps about a completion, brought up to date.
    fn kept(&self, state: &mut SamplingState) -> Result<(usize, usize)> {
        let mut kept = match state.kept.take().and_then(|kept| kept.downcast::<Option<Kept>>().ok()) {
            Some(kept) => *kept,
            None => Kept::of(state, self.place, self.vocabulary)?,
        };
        if let Some(kept) = &mut kept {
            kept.update(state)?;
        }
        let addresses = kept.as_ref().map_or((0, 0), Kept::addresses);
        state.kept = Some(Box::new(kept));
        Ok(addresses)
    }

    fn row(&self, state: &SamplingState, (logits, notes, bias): (usize, usize, usize)) -> Row {
        let parameters = &state.parameters;
        let alternatives = state.alternatives.map_or(-1, |count| count.min(self.vocabulary) as i64);
        Row {
            logits,
            notes,
            bias,
            mask: 0,
            forbidden: 0,
            forbidden_count: 0,
            repetition: parameters.repetition_penalty,
            presence: parameters.presence_penalty,
            frequency: parameters.frequency_penalty,
            temperature: parameters.temperature,
            top_k: parameters.top_k,
            min_p: parameters.min_p,
            top_p: parameters.top_p,
            uniform: uniform(parameters.seed.into(), state.position()),
            alternatives,
        }
    }

    /// Runs the kernels on all rows.
    fn choose(&mut self, inputs: &Inputs) -> Result<Vec<step::Choice>> {
        let rows = inputs.rows.len();
        if rows == 0 {
            return Ok(Vec::new());
        }
        let (chunks, vocabulary) = (self.vocabulary.div_ceil(self.sizes.chunk), self.vocabulary);
        let samples = inputs.rows.iter().any(|row| row.temperature > 0.0);
        let sampled = if samples { rows * vocabulary * size_of::<f64>() } else { 0 };
        self.values.grow(sampled)?;
        self.partials.grow(rows * chunks * size_of::<Partial>())?;
        self.choices.grow(rows * size_of::<step::Choice>())?;
        let step = Step {
            rows: inputs.upload(&mut self.inputs)?,
            values: self.values.address(),
            partials: self.partials.address(),
            choices: self.choices.address(),
            top_weight: top_weight(vocabulary),
            vocabulary: vocabulary as u32,
            chunks: chunks as u32,
        };
        let launch = |kernel, grid, threads| {
            let launch = Launch { kernel, is_aligned: true, grid: grid as u32, threads };
            // SAFETY: the kernels take this struct; all its addresses are in memory that `self` holds, large enough for
            // the step. Without a stream, a kernel runs behind ONNX Runtime's run, which is over, and copies behind it.
            unsafe { D::launch(self.program, launch, ptr::null_mut(), ptr::from_ref(&step).cast::<c_void>()) }
                .map_err(Error)
        };
        launch("take", rows * chunks, self.sizes.chunk_threads)?;
        if inputs.rows.iter().any(|row| row.temperature > 0.0 && row.top_k > 0.0) {
            launch("keep_top_k", rows, self.sizes.row_threads)?;
        }
        if samples {
            launch("weigh", rows * chunks, self.sizes.chunk_threads)?;
        }
        launch("choose", rows, self.sizes.row_threads)?;
        let nothing = step::Choice {
            token: 0,
            status: CHOSEN,
            logit: 0.0,
            raw_highest: 0.0,
            weights: 0.0,
            top: [0; ALTERNATIVES],
            top_logits: [0.0; ALTERNATIVES],
        };
        let mut choices = vec![nothing; rows];
        // SAFETY: the kernels have written a choice for each row.
        unsafe { download(&*self.choices.memory, self.choices.memory.at(0), &mut choices)? };
        Ok(choices)
    }

    fn recorded(
        &self,
        choice: &step::Choice,
        state: &mut SamplingState,
    ) -> std::result::Result<Sampled, Fault> {
        let token = choice.token;
        match choice.status {
            CHOSEN => {}
            NOT_FINITE => return Err(Fault::NonFiniteLogit { token: token as usize, value: choice.logit }),
            _ => return Err(Fault::NoTokenAllowed),
        }
        let logprobs = state.alternatives.map(|count| {
            let sum = logarithm(choice.weights / top_weight(self.vocabulary));
            let sum = f64::from(choice.raw_highest) + sum;
            let logprob = |logit: f32| f64::from(logit) - sum;
            let mut top: Vec<_> = choice.top.into_iter().zip(choice.top_logits).collect();
            top.truncate(count.min(self.vocabulary));
            top.sort_by(|(id, logit), (other, than)| by_height((*id, *logit), (*other, *than)));
            let top = top.into_iter().map(|(id, logit)| (id, logprob(logit))).collect();
            Logprobs { logprob: logprob(choice.logit), top }
        });
        state.record(token)?;
        Ok(Sampled { token, logprobs })
    }
}

/// Highest first; of equal logits, which both zeros are, the lower id first.
fn by_height((id, logit): (u32, f32), (other, than): (u32, f32)) -> Ordering {
    than.partial_cmp(&logit).unwrap_or(Ordering::Equal).then(id.cmp(&other))
}

/// The device has no standard deviation: its sums of squares are not exact.
fn is_possible(state: &SamplingState) -> bool {
    state.parameters.top_n_sigma == 0.0 && state.alternatives.is_none_or(|count| count <= ALTERNATIVES)
}

/// What a step sends to the device, in one copy.
#[derive(Default)]
struct Inputs {
    rows: Vec<Row>,
    /// Forbidden tokens and masks of all rows.
    words: Vec<u32>,
    /// Where each row's forbidden tokens and mask begin in `words`.
    places: Vec<(Option<usize>, Option<usize>)>,
}

impl Inputs {
    fn add(&mut self, mut row: Row, forbidden: &[u32], mask: Option<&[u32]>, vocabulary: usize) {
        row.forbidden_count = forbidden.len() as u64;
        let at = (!forbidden.is_empty()).then_some(self.words.len());
        self.words.extend_from_slice(forbidden);
        let mask_at = mask.map(|mask| {
            let (at, count) = (self.words.len(), vocabulary.div_ceil(32));
            self.words.extend(mask.iter().take(count));
            self.words.resize(at + count, 0);
            at
        });
        self.rows.push(row);
        self.places.push((at, mask_at));
    }

    /// Returns the address of the rows on the device.
    fn upload(&self, to: &mut Room) -> Result<usize> {
        let rows = self.rows.len() * size_of::<Row>();
        to.grow(rows + 4 * self.words.len())?;
        let start = to.address();
        let address = |place: Option<usize>| place.map_or(0, |place| start + rows + 4 * place);
        let placed: Vec<Row> = self
            .rows
            .iter()
            .zip(&self.places)
            .map(|(row, (forbidden, mask))| Row {
                forbidden: address(*forbidden),
                mask: address(*mask),
                ..*row
            })
            .collect();
        let all = [bytes_of(&placed), bytes_of(&self.words)].concat();
        // SAFETY: there is room for all of it.
        unsafe { to.memory.upload(all.as_ptr(), to.memory.at(0), all.len())? };
        Ok(start)
    }
}

/// Memory of the device that grows and loses its content when it does.
struct Room {
    place: Place,
    memory: Box<dyn Memory>,
    size: usize,
}

impl Room {
    fn new(place: Place) -> Result<Self> {
        Ok(Self { place, memory: place.zeroed(0)?, size: 0 })
    }

    fn grow(&mut self, size: usize) -> Result<()> {
        if size > self.size {
            self.memory = self.place.zeroed(size)?;
            self.size = size;
        }
        Ok(())
    }

    fn address(&self) -> usize {
        self.memory.at(0).expose_provenance()
    }
}

/// # Safety
/// The memory holds as many numbers of this type at `from`.
unsafe fn download<T: Copy>(memory: &dyn Memory, from: *const u8, to: &mut [T]) -> Result<()> {
    // SAFETY: the caller promises the numbers; the slice has room for as many bytes.
    unsafe { memory.download(from, to.as_mut_ptr().cast(), size_of_val(to)) }
}
