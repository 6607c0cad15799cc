use std::time::Instant;

use super::device_logits::{DeviceLogits, Wanted};
use crate::cuda::Cuda;
use crate::ort::Result;
use crate::sampling::{Choice, RowSampler};

/// Who reads the logits of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Whoever chooses tokens, on the device where it can.
    Sampler,
    /// Code on the host, which needs the numbers.
    Host,
}

/// The logits of a step, row by row.
pub enum Rows<'a> {
    Host { logits: &'a [f32], vocabulary: usize },
    Device(&'a mut DeviceLogits<Cuda>),
}

impl Rows<'_> {
    /// Chooses the tokens that are wanted; `sampler` does it on the host. Waits for grammars until `until`.
    pub fn sample(
        &mut self,
        sampler: &mut RowSampler,
        wanted: &[Wanted],
        until: Instant,
    ) -> Result<Vec<Choice>> {
        match self {
            Self::Device(logits) => logits.sample(wanted, until),
            Self::Host { logits, vocabulary } => {
                let row = |row: usize| &logits[row * *vocabulary..][..*vocabulary];
                let rows: Vec<_> = wanted.iter().map(|(place, state)| (row(*place), *state)).collect();
                Ok(sampler.sample(&rows, until))
            }
        }
    }
}
