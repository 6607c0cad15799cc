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
        let shares = Mutex::new(rows.chunks(share).enumerate());
        let next = || shares.lock().unwrap_or_else(PoisonError::into_inner).next();
        let sample = |sampler: &mut Sampler| -> Vec<_> {
            let next = || next().map(|(place, rows)| (place, sample_all(sampler, rows, until)));
            std::iter::from_fn(next).collect()
        };
        let Some((own, others)) = self.samplers.split_first_mut() else { return Vec::new() };
        let mut sampled = thread::scope(|scope| {
            // This thread does what one that cannot be had would do.
            let spawn = |sampler| thread::Builder::new().spawn_scoped(scope, move || sample(sampler)).ok();
            let helpers: Vec<_> = others.iter_mut().take(threads - 1).filter_map(spawn).collect();
            let mut sampled = sample(own);
            for helper in helpers {
                sampled.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            sampled
        });
        sampled.sort_unstable_by_key(|(place, _)| *place);
        sampled.into_iter().flat_map(|(_, choices)| choices).collect()
    }
}

fn sample_all(sampler: &mut Sampler, rows: &[Row], until: Instant) -> Vec<Choice> {
    let sample = |(logits, state): &Row| {
        let state = (*state)?;
        Some(sampler.sample(logits, &mut state.lock().unwrap_or_else(PoisonError::into_inner), until))
    };
    rows.iter().map(sample).collect()
}
