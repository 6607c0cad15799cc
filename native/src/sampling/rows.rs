use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::fault::Fault;
use super::sampler::{Sampled, Sampler};
use super::state::SamplingState;

/// A row's logits, and the state of whoever wants a token.
pub type Row<'a> = (&'a [f32], Option<&'a Mutex<SamplingState>>);

/// One row's result; None if nobody wants a token.
pub type Choice = Option<Result<Sampled, Fault>>;

/// Number of logits that is worth starting a thread.
const WORTH_A_THREAD: usize = 1 << 20;

/// Samples the rows of a batch; large vocabularies use several threads.
pub struct RowSampler {
    samplers: Vec<Sampler>,
}

impl RowSampler {
    pub fn new(threads: usize) -> Self {
        Self { samplers: (0..threads.max(1)).map(|_| Sampler::default()).collect() }
    }

    /// Waits for grammars until `until`.
    pub fn sample(&mut self, rows: &[Row], until: Instant) -> Vec<Choice> {
        let numbers: usize = rows.iter().map(|(logits, _)| logits.len()).sum();
        let threads = (numbers / WORTH_A_THREAD).clamp(1, self.samplers.len().min(rows.len().max(1)));
        let share = rows.len().div_ceil(threads).max(1);
        let mut shares = rows.chunks(share).zip(&mut self.samplers);
        let own = shares.next();
        thread::scope(|scope| {
            let others: Vec<_> =
                shares.map(|(rows, sampler)| scope.spawn(move || sample_all(sampler, rows, until))).collect();
            let mut choices = own.map_or_else(Vec::new, |(rows, sampler)| sample_all(sampler, rows, until));
            for other in others {
                choices.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            choices
        })
    }
}

fn sample_all(sampler: &mut Sampler, rows: &[Row], until: Instant) -> Vec<Choice> {
    let sample = |(logits, state): &Row| {
        let state = (*state)?;
        Some(sampler.sample(logits, &mut state.lock().unwrap_or_else(PoisonError::into_inner), until))
    };
    rows.iter().map(sample).collect()
}
