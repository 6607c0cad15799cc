use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bound::Target;
use super::decoder::{BoundDecoder, SEGMENTS, Segment, Slots, Step, run_bound};
use super::device_logits::{DeviceLogits, SAMPLING_SIZES};
use super::encoder::{embed, encode, width};
use super::layers::{Content, Layers};
use super::memory::Place;
use super::rows::{Reader, Rows};
use crate::cuda::Cuda;
use crate::ops::Operators;
use crate::ort::{
    Cancellation, Error, Library, MemoryInfo, Provider, Result, RunOptions, Session, SessionOptions,
};

/// Initial positions per slot if a step's cost depends on capacity, not use: ONNX Runtime's cross-attention computes
/// over all of it, and a provider with its own memory receives all of it. The capacity grows with the longest sequence.
const FIRST_CAPACITY: usize = 64;

pub struct ModelOptions {
    pub decoder: PathBuf,
    pub encoder: Option<PathBuf>,
    pub slots: usize,
    pub capacity: usize,
    pub encoder_capacity: usize,
    pub vocabulary: usize,
    /// Maximum number of keys that a query reads, for each layer with a cache.
    pub windows: Vec<Option<usize>>,
    pub threads: u32,
    /// None: the CPU.
    pub provider: Option<Provider>,
    /// Whether to use the `ai.altup` kernels instead of the model's function bodies.
    pub kernels: bool,
    /// Whether the cache holds codes in int8. Only for a model that packs.
    pub int8_cache: bool,
    /// More ONNX Runtime session options, by key.
    pub config: Vec<(String, String)>,
    /// Whether ONNX Runtime logs everything.
    pub verbose: bool,
}

impl ModelOptions {
    /// Each graph has its own settings. A provider acquires its device once, when it is added to the settings, but
    /// releases it with each session that was opened with them.
    fn open_graph(&self, library: Library, cancellation: &Cancellation, path: &Path) -> Result<Session> {
        let settings = SessionOptions::new(library.api, self.threads)?;
        for (key, value) in &self.config {
            settings.config(key, value)?;
        }
        if self.verbose {
            settings.log_everything()?;
        }
        if self.kernels {
            settings.kernels(match &self.provider {
                Some(_) => Operators::OfEveryProvider,
                None if self.int8_cache => Operators::OfCpuWithInt8Caches,
                None => Operators::OfCpu,
            })?;
        }
        if let Some(provider) = &self.provider {
            settings.provider(provider)?;
        }
        cancellation.run(&settings, || Session::open(library, path, &settings))
    }
}

impl ModelOptions {
    fn packs(&self, decoder: &Session) -> bool {
        let has_segments = decoder.inputs.iter().any(|port| port.name == SEGMENTS);
        has_segments && self.encoder.is_none() && self.kernels && self.provider.is_none()
    }
}

/// A loaded model with its slot caches. One call at a time.
pub struct Model {
    // Bindings first: they are dropped before the memory they point at.
    decoding: Vec<Option<BoundDecoder>>,
    prefilling: Vec<Option<BoundDecoder>>,
    packing: Option<BoundDecoder>,
    decoder: Session,
    encoder: Option<Session>,
    past: Layers,
    cross: Layers,
    /// Encoder positions in use, by slot.
    encoder_lengths: Vec<i32>,
    /// By slot: layers with a window may hold nothing that only queries before this position read.
    cuts: Vec<usize>,
    /// Logits of the last step that the host reads, row by row.
    logits: Vec<f32>,
    /// Those of which the device chooses tokens.
    on_device: Option<DeviceLogits<Cuda>>,
    /// Each step copies the caches from host memory to the provider's memory.
    sends_cache: bool,
    options: ModelOptions,
}

impl Model {
    /// `cancellation` may end it early.
    pub fn open(library: Library, cancellation: &Cancellation, options: ModelOptions) -> Result<Self> {
        let open = |path| options.open_graph(library, cancellation, path);
        let decoder = open(&options.decoder)?;
        let encoder = options.encoder.as_deref().map(open).transpose()?;
        let slots = options.slots;
        let place = Place::of(options.provider.as_ref().map(|provider| provider.name.as_str()));
        let sent = options.provider.is_some() && place == Place::Host;
        let first = if sent { FIRST_CAPACITY } else { options.capacity };
        if options.int8_cache && !options.packs(&decoder) {
            return Err(Error(
                "only our attention on the CPU, of a decoder-only model, reads a cache in int8".into(),
            ));
        }
        let content = if options.int8_cache { Content::Bytes } else { Content::Numbers };
        let size = (slots, options.capacity.min(first));
        let past = Layers::new(&decoder, "past_key_values", &options.windows, (place, content), size)?;
        let cross_capacity = options.encoder_capacity.min(FIRST_CAPACITY);
        let cross = Layers::new(&decoder, "cross", &[], (place, Content::Numbers), (slots, cross_capacity))?;
        let chooses = place == Place::Cuda && options.kernels;
        let on_device = || DeviceLogits::new(place, options.vocabulary, SAMPLING_SIZES);
        let on_device = chooses.then(on_device).transpose()?;
        Ok(Self {
            decoding: unbound(slots),
            prefilling: unbound(slots),
            packing: None,
            decoder,
            encoder,
            past,
            cross,
            encoder_lengths: vec![0; slots],
            cuts: vec![0; slots],
            logits: Vec::new(),
            on_device,
            sends_cache: sent,
            options,
        })
    }

    fn check_slot(&self, slot: usize) -> Result<()> {
        let slots = self.options.slots;
        if slot < slots { Ok(()) } else { Err(Error(format!("slot {slot} of {slots}"))) }
    }

    /// Whether a step may have several slots with their own numbers of tokens.
    pub fn packs(&self) -> bool {
        self.options.packs(&self.decoder)
    }

    fn check_segment(&self, Segment { slot, past, count }: Segment) -> Result<()> {
        self.check_slot(slot)?;
        let capacity = self.options.capacity;
        if count == 0 || past < 0 || past as usize + count > capacity {
            return Err(Error(format!("{count} positions behind {past} of {capacity}")));
        }
        // At position 0 nothing is read but the step's own keys.
        let cut = self.cuts[slot];
        if past > 0 && (past as usize) + 1 < cut {
            return Err(Error(format!(
                "position {past} reads keys that were given back; it must be {} or more",
                cut - 1
            )));
        }
        Ok(())
    }

    /// Slots from `first` on get `tokens` together, as many each, behind their `pasts`.
    fn check_batch(&self, first: usize, (tokens, pasts): (&[i64], &[i64])) -> Result<()> {
        let count = tokens.len() / pasts.len();
        let segments = pasts.iter().zip(first..).map(|(past, slot)| Segment { slot, past: *past, count });
        segments.into_iter().try_for_each(|segment| self.check_segment(segment))
    }

    /// The encoder, which can read `tokens`.
    fn encoder_for(&self, tokens: &[i64]) -> Result<&Session> {
        let limit = self.options.encoder_capacity;
        let encoder = self.encoder.as_ref();
        let encoder = encoder.ok_or_else(|| Error("a decoder-only model has no encoder".into()))?;
        if tokens.is_empty() || tokens.len() > limit {
            return Err(Error(format!("{} encoder tokens, 1 to {limit} are possible", tokens.len())));
        }
        Ok(encoder)
    }

    /// Numbers in a final state of the encoder; 0 for a decoder-only model.
    pub fn encoder_width(&self) -> usize {
        self.encoder.as_ref().map_or(0, width)
    }

    /// The encoder's final states over `tokens`, one after another. Changes no slot.
    pub fn embed(&self, run: &RunOptions, tokens: &[i64]) -> Result<Vec<f32>> {
        embed(self.encoder_for(tokens)?, run, tokens)
    }

    pub fn encode(&mut self, run: &RunOptions, slot: usize, tokens: &[i64]) -> Result<()> {
        self.check_slot(slot)?;
        self.encoder_for(tokens)?;
        if tokens.len() > self.cross.capacity() {
            self.unbind();
            let limit = self.options.encoder_capacity;
            self.cross.grow(limit.min(tokens.len().max(2 * self.cross.capacity())))?;
        }
        if let Some(encoder) = &self.encoder {
            encode(encoder, run, &mut self.cross, slot, tokens)?;
        }
        self.encoder_lengths[slot] = tokens.len() as i32;
        Ok(())
    }

    /// Makes room for a batch's tokens and drops bindings that would be out of date.
    fn prepare(&mut self, (tokens, pasts): (&[i64], &[i64])) -> Result<()> {
        let longest = pasts.iter().max().map_or(0, |past| *past as usize);
        let total = longest + tokens.len() / pasts.len();
        if total > self.past.capacity() {
            self.unbind();
            self.past.grow(self.options.capacity.min(total.max(2 * self.past.capacity())))?;
        }
        // Host memory is copied to the provider's memory when it is bound, not when the graph runs.
        if self.sends_cache {
            self.unbind();
        }
        Ok(())
    }

    fn unbind(&mut self) {
        self.decoding = unbound(self.options.slots);
        self.prefilling = unbound(self.options.slots);
    }

    /// Room for the next step's logits.
    fn target(&mut self, rows: usize, reader: Reader) -> Result<Target> {
        let (api, vocabulary) = (self.decoder.api, self.options.vocabulary);
        if let (Some(logits), Reader::Sampler) = (&mut self.on_device, reader) {
            let memory = logits.room_for(rows)?;
            return Ok(Target { data: memory.at(0).cast(), info: memory.info(api)?, vocabulary });
        }
        let data = room_for(&mut self.logits, rows * vocabulary);
        Ok(Target { data, info: MemoryInfo::host(api)?, vocabulary })
    }

    /// The last step's logits.
    fn rows(&mut self, rows: usize, reader: Reader) -> Rows<'_> {
        let vocabulary = self.options.vocabulary;
        match &mut self.on_device {
            Some(logits) if reader == Reader::Sampler => Rows::Device(logits),
            _ => Rows::Host { logits: &self.logits[..rows * vocabulary], vocabulary },
        }
    }

    /// Appends `tokens` to `slot` behind its first `past` positions. Returns the logits of `logit_rows`.
    pub fn prefill(
        &mut self,
        run: &RunOptions,
        slot: usize,
        (tokens, past, logit_rows): (&[i64], i64, &[i64]),
        reader: Reader,
    ) -> Result<Rows<'_>> {
        self.check_slot(slot)?;
        if tokens.is_empty() {
            return Err(Error("no tokens to prefill".into()));
        }
        let pasts = [past];
        self.check_batch(slot, (tokens, &pasts))?;
        check_rows(tokens, logit_rows)?;
        self.prepare((tokens, &pasts))?;
        if past == 0 {
            self.cuts[slot] = 0;
        }
        let logits = self.target(logit_rows.len(), reader)?;
        let Self { prefilling, decoder, past, cross, encoder_lengths, options, .. } = self;
        let cross = (!cross.layers.is_empty()).then_some((&*cross, &mut encoder_lengths[..]));
        let sends = options.provider.is_some();
        let step = Step { tokens, slots: Slots::Batch(&pasts), logit_rows };
        // SAFETY: bindings are dropped when the caches grow or are dropped.
        let make = || unsafe { BoundDecoder::new(decoder, (slot, 1), past, cross, sends) };
        // SAFETY: `logits` has room for all rows.
        run_bound(&mut prefilling[slot], make, |bound| unsafe { bound.run(decoder, run, &step, logits) })?;
        Ok(self.rows(logit_rows.len(), reader))
    }

    /// Appends `tokens[i]` to slot i behind its first `pasts[i]` positions. Returns the logits, one row per slot, and the
    /// time that ONNX Runtime took.
    pub fn decode(
        &mut self,
        run: &RunOptions,
        tokens: &[i64],
        pasts: &[i64],
    ) -> Result<(Rows<'_>, Duration)> {
        let count = tokens.len();
        if count == 0 || count != pasts.len() {
            return Err(Error(format!("{count} tokens for {} slots", pasts.len())));
        }
        let rows: Vec<i64> = (0..count as i64).collect();
        self.decode_batch(run, pasts, (tokens, &rows))
    }

    /// Like `pack`, but for any model: segment i belongs to slot i, and all are padded to the longest, which needs as many
    /// free positions in each slot.
    pub fn decode_segments(
        &mut self,
        run: &RunOptions,
        segments: &[Segment],
        (tokens, logit_rows): (&[i64], &[i64]),
    ) -> Result<(Rows<'_>, Duration)> {
        let wanted: usize = segments.iter().map(|segment| segment.count).sum();
        let longest = segments.iter().map(|segment| segment.count).max().unwrap_or(0);
        if longest == 0 || wanted != tokens.len() {
            return Err(Error(format!("{} tokens for segments of {wanted}", tokens.len())));
        }
        check_rows(tokens, logit_rows)?;
        let mut padded = vec![0; segments.len() * longest];
        // The place of each token among the padded ones.
        let mut places = Vec::with_capacity(wanted);
        for (row, segment) in segments.iter().enumerate() {
            if segment.slot != row {
                return Err(Error(format!("segment {row} belongs to slot {}", segment.slot)));
            }
            let (from, to) = (places.len(), row * longest);
            padded[to..to + segment.count].copy_from_slice(&tokens[from..from + segment.count]);
            places.extend((to..to + segment.count).map(|place| place as i64));
        }
        let rows: Vec<i64> = logit_rows.iter().map(|row| places[*row as usize]).collect();
        let pasts: Vec<i64> = segments.iter().map(|segment| segment.past).collect();
        self.decode_batch(run, &pasts, (&padded, &rows))
    }

    /// Appends as many `tokens` to each of the slots from 0 on, behind their `pasts`.
    fn decode_batch(
        &mut self,
        run: &RunOptions,
        pasts: &[i64],
        (tokens, logit_rows): (&[i64], &[i64]),
    ) -> Result<(Rows<'_>, Duration)> {
        let count = pasts.len();
        self.check_slot(count - 1)?;
        self.check_batch(0, (tokens, pasts))?;
        self.prepare((tokens, pasts))?;
        let logits = self.target(logit_rows.len(), Reader::Sampler)?;
        let Self { decoding, decoder, past, cross, encoder_lengths, options, .. } = self;
        let cross = (!cross.layers.is_empty()).then_some((&*cross, &mut encoder_lengths[..]));
        let sends = options.provider.is_some();
        let step = Step { tokens, slots: Slots::Batch(pasts), logit_rows };
        // SAFETY: bindings are dropped when the caches grow or are dropped.
        let make = || unsafe { BoundDecoder::new(decoder, (0, count), past, cross, sends) };
        // SAFETY: `logits` has room for all rows.
        let run_time = run_bound(&mut decoding[count - 1], make, |bound| unsafe {
            bound.run(decoder, run, &step, logits)
        })?;
        Ok((self.rows(logit_rows.len(), Reader::Sampler), run_time))
    }

    /// Appends the tokens of all `segments`, one segment behind the other, each to its own slot, in one run. Returns the
    /// logits of `logit_rows` and the time that ONNX Runtime took. Only for a model that packs.
    pub fn pack(
        &mut self,
        run: &RunOptions,
        segments: &[Segment],
        (tokens, logit_rows): (&[i64], &[i64]),
    ) -> Result<(Rows<'_>, Duration)> {
        if !self.packs() {
            return Err(Error("this model does not pack".into()));
        }
        segments.iter().try_for_each(|segment| self.check_segment(*segment))?;
        let wanted: usize = segments.iter().map(|segment| segment.count).sum();
        if wanted == 0 || wanted != tokens.len() {
            return Err(Error(format!("{} tokens for segments of {wanted}", tokens.len())));
        }
        check_rows(tokens, logit_rows)?;
        for segment in segments.iter().filter(|segment| segment.past == 0) {
            self.cuts[segment.slot] = 0;
        }
        let logits = self.target(logit_rows.len(), Reader::Sampler)?;
        let Self { packing, decoder, past, options, .. } = self;
        let step = Step { tokens, slots: Slots::Packed(segments), logit_rows };
        // SAFETY: on the CPU the caches never grow, and they are dropped after the binding.
        let make = || unsafe { BoundDecoder::new(decoder, (0, options.slots), past, None, false) };
        // SAFETY: `logits` has room for all rows.
        let run_time = run_bound(packing, make, |bound| unsafe { bound.run(decoder, run, &step, logits) })?;
        Ok((self.rows(logit_rows.len(), Reader::Sampler), run_time))
    }

    /// Copies the first `length` decoder positions and the encoder side of slot `from` to slot `to`, except what the
    /// slot has given back.
    pub fn copy_slot(&mut self, from: usize, to: usize, length: usize) -> Result<()> {
        self.check_slot(from)?;
        self.check_slot(to)?;
        if length > self.options.capacity {
            return Err(Error(format!("{length} positions of {}", self.options.capacity)));
        }
        self.past.copy(from, to, length.min(self.past.capacity()), self.cuts[from])?;
        self.cuts[to] = self.cuts[from];
        self.cross.copy(from, to, self.encoder_lengths[from] as usize, 0)?;
        self.encoder_lengths[to] = self.encoder_lengths[from];
        Ok(())
    }

    /// Frees the memory behind the first `length` positions of `slot`, and in layers with a window what no query from
    /// position `cut` on reads. A smaller cut than before brings nothing back.
    pub fn trim_slot(&mut self, slot: usize, length: usize, cut: usize) -> Result<()> {
        self.check_slot(slot)?;
        if cut > length || length > self.options.capacity {
            let capacity = self.options.capacity;
            return Err(Error(format!("a cut at {cut} of {length} positions of {capacity}")));
        }
        self.cuts[slot] = if length == 0 { 0 } else { self.cuts[slot].max(cut) };
        self.past.trim(slot, length, cut);
        Ok(())
    }

    /// Ends profiling of the decoder and returns the name of the written file.
    pub fn end_profiling(&self) -> Result<String> {
        self.decoder.end_profiling()
    }
}

fn check_rows(tokens: &[i64], logit_rows: &[i64]) -> Result<()> {
    let rows = tokens.len() as i64;
    match logit_rows.iter().find(|row| !(0..rows).contains(*row)) {
        Some(row) => Err(Error(format!("logits of row {row} of {rows}"))),
        None => Ok(()),
    }
}

fn room_for(logits: &mut Vec<f32>, count: usize) -> *mut f32 {
    if logits.len() < count {
        logits.resize(count, 0.0);
    }
    logits.as_mut_ptr()
}

fn unbound(slots: usize) -> Vec<Option<BoundDecoder>> {
    (0..slots).map(|_| None).collect()
}
