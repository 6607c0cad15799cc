use super::highest::highest;
use super::scan::highest_f64;
use super::weight::{top_weight, total, weigh};

/// The possible next tokens with their logits, later their weights, always in ascending order of id. Works like
/// src/sampling/candidates.ts.
#[derive(Default)]
pub struct Candidates {
    ids: Vec<u32>,
    values: Vec<f64>,
    scratch: Vec<f64>,
    /// Weight of the most likely token.
    top: f64,
}

impl Candidates {
    /// Starts over with every token.
    pub fn load(&mut self, logits: &[f64]) {
        self.ids.clear();
        self.ids.extend(0..logits.len() as u32);
        self.values.clear();
        self.values.extend_from_slice(logits);
    }

    /// Starts over with every possible token. The other weights would be 0.
    pub fn load_possible(&mut self, logits: &[f64]) {
        self.ids.clear();
        self.values.clear();
        for (id, logit) in (0..).zip(logits).filter(|(_, logit)| **logit > f64::NEG_INFINITY) {
            self.ids.push(id);
            self.values.push(*logit);
        }
    }

    /// Starts over with the `n` highest logits.
    pub fn load_highest(&mut self, logits: &[f64], n: usize) {
        if n >= logits.len() {
            return self.load(logits);
        }
        highest(logits, n, &mut self.ids);
        self.ids.sort_unstable();
        self.values.clear();
        self.values.extend(self.ids.iter().map(|id| logits[*id as usize]));
    }

    /// Turns logits into weights exp((logit − highest logit) / temperature), for a vocabulary of this size.
    pub fn weigh(&mut self, temperature: f64, vocabulary: usize) {
        let highest = highest_f64(&self.values);
        self.top = top_weight(vocabulary);
        weigh(&mut self.values, highest, temperature, self.top);
    }

    /// Keeps logits of at least `minimum`.
    pub fn keep_at_least(&mut self, minimum: f64) {
        self.keep_from(minimum, usize::MAX);
    }

    /// Keeps weights of at least `share` of the top weight.
    pub fn keep_likely(&mut self, share: f64) {
        self.keep_from(share * self.top, usize::MAX);
    }

    /// Keeps the smallest number of highest weights whose sum reaches `share` of the total; at least one.
    pub fn keep_nucleus(&mut self, share: f64) {
        let total = total(&self.values);
        let bound = ((1.0 - share) * total) / (2 * self.values.len()) as f64;
        self.scratch.clear();
        self.scratch.extend(self.values.iter().filter(|value| **value > bound));
        let kept = count_reaching(&mut self.scratch, share * total);
        if kept > 0 {
            self.keep_from(self.scratch[kept - 1], kept);
        }
    }

    /// Inverts the cumulative distribution in ascending order of id at `u` in (0, 1).
    pub fn draw(&self, u: f64) -> u32 {
        let target = u * total(&self.values);
        let mut sum = 0.0;
        let mut last = 0;
        for (id, value) in self.ids.iter().zip(&self.values) {
            if *value == 0.0 {
                continue;
            }
            sum += value;
            last = *id;
            if sum > target {
                break;
            }
        }
        last
    }

    /// Keeps values above `threshold`, then those equal to it from the lowest id on, at most `n` in all.
    fn keep_from(&mut self, threshold: f64, n: usize) {
        let above = self.values.iter().filter(|value| **value > threshold).count();
        let mut equal = n - above;
        let mut kept = 0;
        for i in 0..self.values.len() {
            let value = self.values[i];
            if value < threshold || (value == threshold && equal == 0) {
                continue;
            }
            if value == threshold {
                equal -= 1;
            }
            self.values[kept] = value;
            self.ids[kept] = self.ids[i];
            kept += 1;
        }
        self.values.truncate(kept);
        self.ids.truncate(kept);
    }
}

/// How many of the highest values sum to `enough`; at least one if there are any. Moves them to the front, highest
/// first, and sorts no further than needed.
fn count_reaching(values: &mut [f64], enough: f64) -> usize {
    const AT_FIRST: usize = 256;
    let descending = |a: &f64, b: &f64| b.total_cmp(a);
    let mut sum = 0.0;
    let mut counted = 0;
    while counted < values.len() {
        let rest = &mut values[counted..];
        let more = rest.len().min(counted.max(AT_FIRST));
        if more < rest.len() {
            rest.select_nth_unstable_by(more - 1, descending);
        }
        rest[..more].sort_unstable_by(descending);
        for value in &rest[..more] {
            if counted > 0 && sum >= enough {
                return counted;
            }
            sum += value;
            counted += 1;
        }
    }
    counted
}
