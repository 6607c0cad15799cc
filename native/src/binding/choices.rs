//! Choosing the tokens of a step from its logits.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::ort::Result;
use crate::sampling::{Choice, Fault, RowSampler, Sampled, SamplingState};
use crate::session::{Rows, Wanted};

/// A step waits for its rows' grammars as long as the model took, within these bounds. Rows with a late grammar then
/// repeat the step.
const MIN_PATIENCE: Duration = Duration::from_millis(1);
const MAX_PATIENCE: Duration = Duration::from_millis(20);

/// Chooses the tokens that are wanted from a step's logits, which took `time` to compute.
pub fn choose(
    sampler: &mut RowSampler,
    rows: &mut Rows,
    wanted: &[Wanted],
    time: Duration,
) -> Result<Vec<Choice>> {
    let patience = time.clamp(MIN_PATIENCE, MAX_PATIENCE);
    let mut choices = rows.sample(sampler, wanted, Instant::now() + patience)?;
    let pause_end = Instant::now() + MAX_PATIENCE;
    while are_late(&choices) && Instant::now() < pause_end {
        thread::sleep(MIN_PATIENCE);
        choices = rows.sample(sampler, wanted, Instant::now())?;
    }
    Ok(choices)
}

/// Every row waits for a late grammar, so no token was chosen and repeating the step at once would not help.
fn are_late(choices: &[Choice]) -> bool {
    !choices.is_empty()
        && choices.iter().flatten().all(|choice| matches!(choice, Err(Fault::Late)))
        && choices.iter().any(Option::is_some)
}

/// A sequence whose next token is chosen, and those behind a guess of its next tokens.
pub struct Sequence<'a> {
    pub state: &'a Mutex<SamplingState>,
    pub guess: &'a [i64],
}

/// Chooses a token behind each of a sequence's tokens, until one is not the guess. `rows` has one for each
/// sequence, and then for each token of its guess. A sequence's last choice may be a fault.
pub fn choose_behind(
    sampler: &mut RowSampler,
    rows: &mut Rows,
    sequences: &[Sequence],
    time: Duration,
) -> Result<Vec<Vec<std::result::Result<Sampled, Fault>>>> {
    let mut end = 0;
    let own_rows: Vec<_> = sequences
        .iter()
        .map(|own| {
            let start = end;
            end += 1 + own.guess.len();
            start..end
        })
        .collect();
    let mut chosen: Vec<_> = sequences.iter().map(|_| Vec::new()).collect();
    let mut going: Vec<usize> = (0..sequences.len()).collect();
    for position in 0.. {
        let next: Vec<Wanted> = going
            .iter()
            .filter_map(|i| Some((own_rows[*i].clone().nth(position)?, Some(sequences[*i].state))))
            .collect();
        let choices = match position {
            _ if next.is_empty() => return Ok(chosen),
            0 => choose(sampler, rows, &next, time)?,
            _ => rows.sample(sampler, &next, Instant::now())?,
        };
        let mut right = Vec::new();
        for (i, choice) in going.iter().copied().zip(choices) {
            let Some(choice) = choice else { continue };
            // A free text has just reached its grammar, whose mask comes with the next step.
            if position > 0 && matches!(choice, Err(Fault::Late)) {
                continue;
            }
            let guess = sequences[i].guess.get(position);
            if choice.as_ref().is_ok_and(|sampled| Some(&i64::from(sampled.token)) == guess) {
                right.push(i);
            }
            chosen[i].push(choice);
        }
        going = right;
    }
    Ok(chosen)
}
