use std::time::{Duration, Instant};

use super::bound::{Feed, Logits};
use super::layers::Layers;
use crate::ort::{Binding, Element, Result, RunOptions, Session, Value};

/// One run of the decoder. `tokens` has the tokens of all slots of the batch, slot by slot, which follow the slots'
/// `pasts`.
pub struct Step<'a> {
    pub tokens: &'a [i64],
    pub pasts: &'a [i64],
    /// Rows of batch × sequence whose logits are wanted.
    pub logit_rows: &'a [i64],
}

/// The decoder with slots `first..first + count` bound to it once.
pub struct BoundDecoder {
    binding: Binding,
    input_ids: Feed<i64>,
    position_ids: Feed<i64>,
    lengths: Feed<i32>,
    total: Feed<i32>,
    logit_positions: Feed<i64>,
    /// Bound again at every step if binding is what copies it to the provider's memory.
    encoder_lengths: Option<Value>,
    logits: Logits,
    /// The time that ONNX Runtime took for the last run.
    pub run_time: Duration,
}

impl BoundDecoder {
    /// `sends`: the provider has its own memory, and binding copies numbers to it.
    ///
    /// # Safety
    /// Run it only while `past`, `cross` and `encoder_lengths` live and do not move.
    pub unsafe fn new(
        session: &Session,
        slots: (usize, usize),
        past: &Layers,
        cross: Option<(&Layers, &mut [i32])>,
        sends: bool,
    ) -> Result<Self> {
        let mut binding = Binding::new(session)?;
        let mut encoder_lengths = None;
        // SAFETY: the caller runs the binding only while the layers and the lengths live and do not move. The slice
        // checks that `lengths` has these slots.
        unsafe {
            past.bind(session, &mut binding, slots, true)?;
            if let Some((cross, lengths)) = cross {
                cross.bind(session, &mut binding, slots, false)?;
                let lengths = &mut lengths[slots.0..slots.0 + slots.1];
                let (data, count) = (lengths.as_mut_ptr().cast(), lengths.len());
                let value = Value::view(session.api, Element::I32, &[count as i64], data, count)?;
                binding.input("encoder_lengths", &value)?;
                encoder_lengths = sends.then_some(value);
            }
        }
        Ok(Self {
            binding,
            input_ids: Feed::new("input_ids", Element::I64, sends),
            position_ids: Feed::new("position_ids", Element::I64, sends),
            lengths: Feed::new("seqlens_k", Element::I32, sends),
            total: Feed::new("total_sequence_length", Element::I32, sends),
            logit_positions: Feed::new("logit_positions", Element::I64, sends),
            encoder_lengths,
            logits: Logits::new(),
            run_time: Duration::ZERO,
        })
    }

    /// # Safety
    /// `logits` is valid until the next run for one row of `vocabulary` numbers per entry of the step's `logit_rows`.
    pub unsafe fn run(
        &mut self,
        session: &Session,
        options: &RunOptions,
        step: &Step,
        (logits, vocabulary): (*mut f32, usize),
    ) -> Result<()> {
        let (api, binding) = (session.api, &mut self.binding);
        let count = step.pasts.len();
        let sequence = step.tokens.len() / count;
        let batch = [count as i64, sequence as i64];
        let positions: Vec<i64> =
            step.pasts.iter().flat_map(|past| (0..sequence as i64).map(move |i| past + i)).collect();
        let lengths: Vec<i32> = step.pasts.iter().map(|past| *past as i32 + sequence as i32 - 1).collect();
        let total = lengths.iter().max().map_or(0, |longest| longest + 1);
        self.input_ids.set(api, binding, &batch, step.tokens)?;
        self.position_ids.set(api, binding, &batch, &positions)?;
        self.lengths.set(api, binding, &batch[..1], &lengths)?;
        self.total.set(api, binding, &[1], &[total])?;
        if let Some(lengths) = &self.encoder_lengths {
            binding.input("encoder_lengths", lengths)?;
        }
        self.logit_positions.set(api, binding, &[step.logit_rows.len() as i64], step.logit_rows)?;
        // SAFETY: the caller promises these rows until the next run, which sets its own rows first.
        unsafe { self.logits.set(api, binding, logits, (step.logit_rows.len(), vocabulary))? };
        let start = Instant::now();
        session.run(options, binding)?;
        self.run_time = start.elapsed();
        Ok(())
    }
}
