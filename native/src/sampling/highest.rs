use std::cmp::Ordering;

/// Orders by value, highest first; equal values by lower id first.
fn by_height<T: PartialOrd>(values: &[T], a: u32, b: u32) -> Ordering {
    let (value, other) = (&values[a as usize], &values[b as usize]);
    other.partial_cmp(value).expect("no logit is NaN").then(a.cmp(&b))
}

/// Writes the ids of the `n` highest `values` to `kept`, highest first, in time linear in the number of values.
///
/// Keeps up to max(2n, 64) ids and a bar: the n-th highest value at the last time there were too many. Few values pass
/// the bar. A later value that equals it is skipped, because n earlier values are as high.
pub fn highest<T: PartialOrd + Copy>(values: &[T], n: usize, kept: &mut Vec<u32>) {
    const AT_ONCE: usize = 32;
    kept.clear();
    if n == 0 {
        return;
    }
    let most = (2 * n).max(64);
    let mut bar: Option<T> = None;
    for (index, chunk) in values.chunks(AT_ONCE).enumerate() {
        if bar.is_some_and(|bar| !chunk.iter().fold(false, |any, value| any | (*value > bar))) {
            continue;
        }
        let first = (index * AT_ONCE) as u32;
        for (id, value) in (first..).zip(chunk) {
            if bar.is_some_and(|bar| *value <= bar) {
                continue;
            }
            kept.push(id);
            if kept.len() == most {
                let (_, last, _) = kept.select_nth_unstable_by(n - 1, |a, b| by_height(values, *a, *b));
                bar = Some(values[*last as usize]);
                kept.truncate(n);
            }
        }
    }
    kept.sort_unstable_by(|a, b| by_height(values, *a, *b));
    kept.truncate(n);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_sorting_finds(values in proptest::collection::vec(-40i32..40, 1..600), n in 0usize..200) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let mut sorted: Vec<u32> = (0..values.len() as u32).collect();
            sorted.sort_by(|a, b| by_height(&values, *a, *b));
            sorted.truncate(n);
            let mut found = Vec::new();
            highest(&values, n, &mut found);
            prop_assert_eq!(found, sorted);
        }
    }
}
