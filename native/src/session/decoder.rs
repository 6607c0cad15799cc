use std::time::{Duration, Instant};

use super::bound::{Feed, Logits, Target};
use super::layers::Layers;
use crate::ort::{Binding, Element, Result, RunOptions, Session, Value};

/// One run of the decoder.
pub struct Step<'a> {
    /// The new tokens of all slots, slot by slot.
    pub tokens: &'a [i64],
    pub slots: Slots<'a>,
    /// Tokens whose logits are wanted.
    pub logit_rows: &'a [i64],
}

/// Where the tokens of a step belong.
pub enum Slots<'a> {
    /// The bound slots get as many tokens each, behind these positions.
    Batch(&'a [i64]),
    Packed(&'a [Segment]),
}

/// A slot's part of a packed step.
#[derive(Clone, Copy)]
pub struct Segment {
    pub slot: usize,
    /// Positions that the new tokens follow.
    pub past: i64,
    /// Number of new tokens.
    pub count: usize,
}

/// Name of the decoder's input that packed steps need.
pub const SEGMENTS: &str = "segments";

/// The decoder with slots `first..first + count` bound to it once.
pub struct BoundDecoder {
    binding: Binding,
    input_ids: Feed<i64>,
    position_ids: Feed<i64>,
    lengths: Feed<i32>,
    total: Feed<i32>,
    /// None: the graph has only batches.
    segments: Option<Feed<i32>>,
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
        let has_segments = session.inputs.iter().any(|port| port.name == SEGMENTS);
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
            segments: has_segments.then(|| Feed::new(SEGMENTS, Element::I32, sends)),
            logit_positions: Feed::new("logit_positions", Element::I64, sends),
            encoder_lengths,
            logits: Logits::new(),
            run_time: Duration::ZERO,
        })
    }

    /// # Safety
    /// `logits` has room until the next run for one row per entry of the step's `logit_rows`.
    pub unsafe fn run(
        &mut self,
        session: &Session,
        options: &RunOptions,
        step: &Step,
        logits: Target,
    ) -> Result<()> {
        let (api, binding) = (session.api, &mut self.binding);
        let mut segments = Vec::new();
        let (batch, positions, lengths): ([i64; 2], Vec<i64>, Vec<i32>) = match step.slots {
            Slots::Batch(pasts) => {
                let sequence = (step.tokens.len() / pasts.len()) as i64;
                let positions = pasts.iter().flat_map(|past| *past..past + sequence).collect();
                let lengths = pasts.iter().map(|past| (past + sequence - 1) as i32).collect();
                ([pasts.len() as i64, sequence], positions, lengths)
            }
            Slots::Packed(packed) => {
                segments.extend(
                    packed.iter().flat_map(|own| [own.slot as i32, own.past as i32, own.count as i32]),
                );
                let positions = packed.iter().flat_map(|own| own.past..own.past + own.count as i64).collect();
                ([1, step.tokens.len() as i64], positions, vec![0])
            }
        };
        let total = lengths.iter().max().map_or(0, |longest| longest + 1);
        self.input_ids.set(api, binding, &batch, step.tokens)?;
        self.position_ids.set(api, binding, &batch, &positions)?;
        self.lengths.set(api, binding, &batch[..1], &lengths)?;
        self.total.set(api, binding, &[1], &[total])?;
        if let Some(feed) = &mut self.segments {
            feed.set(api, binding, &[segments.len() as i64 / 3, 3], &segments)?;
        }
        if let Some(lengths) = &self.encoder_lengths {
            binding.input("encoder_lengths", lengths)?;
        }
        self.logit_positions.set(api, binding, &[step.logit_rows.len() as i64], step.logit_rows)?;
        // SAFETY: the caller promises these rows until the next run, which sets its own rows first.
        unsafe { self.logits.set(api, binding, logits, step.logit_rows.len())? };
        let start = Instant::now();
        session.run(options, binding)?;
        self.run_time = start.elapsed();
        Ok(())
    }
}

/// Runs a bound decoder, which is made on first use, and returns the time that ONNX Runtime took. After a failure it is
/// made again: the binding may lack an input, and ONNX Runtime ends the process when it is bound once more.
pub fn run_bound(
    place: &mut Option<BoundDecoder>,
    make: impl FnOnce() -> Result<BoundDecoder>,
    run: impl FnOnce(&mut BoundDecoder) -> Result<()>,
) -> Result<Duration> {
    let mut bound = place.take().map_or_else(make, Ok)?;
    run(&mut bound)?;
    let run_time = bound.run_time;
    *place = Some(bound);
    Ok(run_time)
}
