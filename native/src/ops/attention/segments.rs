//! The new tokens of a call and where they belong: a batch has as many for each row, a packed call has its own number
//! for each slot.

use super::appended::{lengths, total};
use super::heads::{Shape, check_dims};
use crate::ops::compute::{Compute, Tensor};
use crate::ort::Result;

/// The input `segments` of a packed call: int32 [segments, 3] with slot, positions before, number of tokens. In a batch
/// it is empty.
pub const SEGMENTS: usize = 7;
const NUMBERS: usize = 3;

/// New tokens of one slot, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Row of the caches.
    pub slot: usize,
    /// Position of the first token.
    pub first: usize,
    pub count: usize,
    /// The first token, counted over batch × sequence.
    pub token: usize,
}

/// The numbers of a packed call; None for a batch.
pub fn packed<'a>(context: &'a Compute, query: &Tensor) -> Result<Option<&'a [[i32; NUMBERS]]>> {
    let tensor = context.input(SEGMENTS)?;
    let count = tensor.dims.first().copied().unwrap_or(-1);
    check_dims(context, ("segments", &tensor), query, &[count.max(0) as usize, NUMBERS])?;
    if count == 0 {
        return Ok(None);
    }
    // SAFETY: the tensor has `count` rows of three numbers.
    Ok(Some(unsafe { std::slice::from_raw_parts(tensor.data::<[i32; NUMBERS]>(), count as usize) }))
}

/// The segments of a batch: one for each row.
pub fn of_batch(context: &Compute, query: &Tensor, shape: &Shape) -> Result<Vec<Segment>> {
    let lengths = lengths(context, query, shape, total(context)?)?;
    let (count, rows) = (shape.sequence, lengths.iter().enumerate());
    Ok(rows
        .map(|(slot, length)| Segment {
            slot,
            first: *length as usize + 1 - count,
            count,
            token: slot * count,
        })
        .collect())
}

/// The segments of a packed call over `slots`, checked. The query may have only the last tokens of all segments.
pub fn of_packed(
    context: &Compute,
    numbers: &[[i32; NUMBERS]],
    (shape, slots): (&Shape, usize),
) -> Result<Vec<Segment>> {
    let tokens = shape.sequence;
    if shape.rows != 1 {
        return Err(context.error(format_args!("a packed call has 1 row of tokens, not {}", shape.rows)));
    }
    let mut is_taken = vec![false; slots];
    let mut all = 0;
    for (i, [slot, past, count]) in numbers.iter().enumerate() {
        let end = i64::from(*past) + i64::from(*count);
        let is_slot = usize::try_from(*slot).is_ok_and(|slot| slot < slots);
        if !is_slot || *past < 0 || *count < 1 || end > shape.capacity as i64 {
            return Err(context.error(format_args!(
                "segments[{i}] is {:?}, not a slot of {slots} and 1 or more tokens within a capacity of {}",
                numbers[i], shape.capacity
            )));
        }
        if std::mem::replace(&mut is_taken[*slot as usize], true) {
            return Err(context.error(format_args!("segments[{i}] has slot {slot} again")));
        }
        all += *count as usize;
    }
    let Some(mut skipped) = all.checked_sub(tokens) else {
        return Err(context.error(format_args!("segments have {all} tokens, the query has {tokens}")));
    };
    let mut token = 0;
    let mut segments = Vec::with_capacity(numbers.len());
    for [slot, past, count] in numbers.iter().map(|row| row.map(|number| number as usize)) {
        let without = skipped.min(count);
        skipped -= without;
        if count > without {
            segments.push(Segment { slot, first: past + without, count: count - without, token });
            token += count - without;
        }
    }
    Ok(segments)
}
