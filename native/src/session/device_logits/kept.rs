use std::collections::HashSet;

use super::super::memory::{Memory, Place, Plain, bytes_of};
use super::step::{BANNED, SEEN};
use crate::ort::Result;
use crate::sampling::SamplingState;

/// What the device knows of a completion besides the numbers of a step.
pub struct Kept {
    /// A note for each token, up to date with the first `noted` tokens of the completion.
    notes: Option<Box<dyn Memory>>,
    noted: usize,
    /// What is added to each token's logit.
    bias: Option<Box<dyn Memory>>,
}

impl Kept {
    /// None if nothing has to be kept.
    pub fn of(state: &SamplingState, place: Place, vocabulary: usize) -> Result<Option<Self>> {
        let parameters = &state.parameters;
        let has_penalty = parameters.repetition_penalty != 1.0
            || parameters.presence_penalty != 0.0
            || parameters.frequency_penalty != 0.0;
        let has_notes = has_penalty || parameters.allowed_tokens.is_some();
        if !has_notes && parameters.logit_bias.is_empty() {
            return Ok(None);
        }
        let notes = || {
            let allowed = parameters.allowed_tokens.as_ref().map(HashSet::<_>::from_iter);
            let is_banned = |token: u32| allowed.as_ref().is_some_and(|allowed| !allowed.contains(&token));
            let mut notes: Vec<u32> =
                (0..vocabulary as u32).map(|token| if is_banned(token) { BANNED } else { 0 }).collect();
            state.seen.iter().for_each(|token| notes[*token as usize] |= SEEN);
            state.counts.iter().for_each(|(token, count)| notes[*token as usize] |= count);
            uploaded(place, &notes)
        };
        let bias = || {
            let mut bias = vec![0.0; vocabulary];
            parameters.logit_bias.iter().for_each(|(token, own)| bias[*token as usize] += own);
            uploaded(place, &bias)
        };
        Ok(Some(Self {
            notes: has_notes.then(notes).transpose()?,
            noted: state.position(),
            bias: (!parameters.logit_bias.is_empty()).then(bias).transpose()?,
        }))
    }

    /// Notes the tokens that were chosen since the last time.
    pub fn update(&mut self, state: &SamplingState) -> Result<()> {
        let fresh = self.noted..state.position();
        self.noted = fresh.end;
        let Some(notes) = &self.notes else { return Ok(()) };
        for token in &state.output()[fresh] {
            let allowed = state.parameters.allowed_tokens.as_ref();
            let banned = if allowed.is_none_or(|allowed| allowed.contains(token)) { 0 } else { BANNED };
            let note = [banned | SEEN | state.counts.get(token).copied().unwrap_or(0)];
            // SAFETY: the vocabulary has this token, so the notes have a place for it.
            unsafe { notes.upload(bytes_of(&note).as_ptr(), notes.at(4 * *token as usize), 4)? };
        }
        Ok(())
    }

    /// Addresses of notes and bias.
    pub fn addresses(&self) -> (usize, usize) {
        let address = |memory: &Option<Box<dyn Memory>>| {
            memory.as_ref().map_or(0, |memory| memory.at(0).expose_provenance())
        };
        (address(&self.notes), address(&self.bias))
    }
}

fn uploaded<T: Plain>(place: Place, numbers: &[T]) -> Result<Box<dyn Memory>> {
    let memory = place.zeroed(size_of_val(numbers))?;
    // SAFETY: the memory was made for as many bytes.
    unsafe { memory.upload(bytes_of(numbers).as_ptr(), memory.at(0), size_of_val(numbers))? };
    Ok(memory)
}
