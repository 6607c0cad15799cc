//! Shared by both kinds of attention: the attributes, the shapes of queries and caches, and how threads divide the
//! heads of a batch.

use crate::kernels::attention::MAX_HEAD_SIZE;
use crate::ops::compute::{Compute, Tensor};
use crate::ops::kernel_info::KernelInfo;
use crate::ops::tokens::SERIAL;
use crate::ort::Result;

/// Number of shares with about as many keys each: enough for an even load on a few threads.
const SHARES: usize = 64;

/// The attributes `num_heads`, `kv_num_heads` and `scale`.
pub struct Heads {
    /// Heads of keys and values.
    count: usize,
    /// Query heads for each of these.
    group: usize,
    pub scale: f32,
}

/// query [rows, sequence, heads · group · head size], caches [rows, heads, positions, head size]
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub rows: usize,
    pub sequence: usize,
    pub heads: usize,
    /// Query heads that share the keys and values of one head.
    pub group: usize,
    /// Positions of the caches' tensors.
    pub positions: usize,
    /// Rows that a head of a cache has room for: as many, unless the tensors hold codes.
    pub capacity: usize,
    pub head_size: usize,
}

impl Heads {
    pub fn of(info: &KernelInfo) -> Result<Self> {
        let count = info.index(c"num_heads")?;
        if count == 0 {
            return Err(info.error(format_args!("attribute num_heads is 0, not 1 or more")));
        }
        Ok(Self { count, group: 1, scale: info.float(c"scale")? })
    }

    /// Fewer heads of keys and values than of queries.
    pub fn grouped(info: &KernelInfo) -> Result<Self> {
        let heads = Self::of(info)?;
        let count = info.index(c"kv_num_heads")?;
        if count == 0 || !heads.count.is_multiple_of(count) {
            let queries = heads.count;
            return Err(info
                .error(format_args!("attribute kv_num_heads is {count}, which does not divide {queries}")));
        }
        Ok(Self { count, group: heads.count / count, ..heads })
    }

    /// `slots`: rows of the caches; None: as many as the query has.
    pub fn shape(
        &self,
        context: &Compute,
        query: &Tensor,
        (keys, values): ((&str, &Tensor), (&str, &Tensor)),
        slots: Option<i64>,
    ) -> Result<Shape> {
        let heads = self.count * self.group;
        let [rows, sequence, width] = query.dims else {
            return Err(context.error(format_args!(
                "query {:?} is not [batch, sequence, {heads} heads · head size]",
                query.dims
            )));
        };
        let head_size = *width as usize / heads;
        if head_size * heads != *width as usize || !(1..=MAX_HEAD_SIZE).contains(&head_size) {
            return Err(context.error(format_args!(
                "query {:?} does not split into {heads} heads of 1 to {MAX_HEAD_SIZE} numbers",
                query.dims
            )));
        }
        let capacity = keys.1.dims.get(2).copied().unwrap_or(-1);
        let slots = slots.unwrap_or(*rows);
        let wanted = [slots, self.count as i64, capacity, head_size as i64];
        for (name, tensor) in [keys, values] {
            if tensor.dims != wanted {
                return Err(context.error(format_args!(
                    "{name} {:?} does not fit query {:?}: [{slots}, {}, {}, {head_size}] wanted",
                    tensor.dims,
                    query.dims,
                    self.count,
                    if capacity < 0 { "capacity".to_owned() } else { capacity.to_string() },
                )));
            }
        }
        let [rows, sequence, capacity] = [*rows, *sequence, capacity].map(|dim| dim as usize);
        Ok(Shape {
            rows,
            sequence,
            heads: self.count,
            group: self.group,
            positions: capacity,
            capacity,
            head_size,
        })
    }
}

impl Shape {
    /// Start of a head in a cache's tensor, in elements. `head`: counted over all rows.
    pub fn head(&self, head: usize) -> usize {
        head * self.positions * self.head_size
    }

    /// Start of the keys or values of head `own` in `token`, counted over [rows · sequence, heads · head size]. Times
    /// `group`, it is the start of the queries that share the head.
    pub fn place(&self, token: usize, own: usize) -> usize {
        (token * self.heads + own) * self.head_size
    }

    /// Runs `task(row · heads + head)` for all heads of all rows. Each head reads `keys(row)` keys, which divides the
    /// work evenly among threads: rows may have very different lengths.
    pub fn for_each_head(
        &self,
        context: &Compute,
        keys: &(impl Fn(usize) -> usize + Sync),
        task: &(impl Fn(usize) + Sync),
    ) -> Result<()> {
        let all = self.rows * self.heads;
        let total = self.heads * (0..self.rows).map(keys).sum::<usize>();
        if 2 * total * self.head_size * self.sequence < SERIAL {
            (0..all).for_each(task);
            return Ok(());
        }
        let shares = SHARES.min(all);
        context.parallel(shares, &|share| {
            let from = self.head_behind(total * share / shares, keys);
            (from..self.head_behind(total * (share + 1) / shares, keys)).for_each(task);
        })
    }

    /// The first head with at least `before` keys before it.
    fn head_behind(&self, before: usize, keys: &impl Fn(usize) -> usize) -> usize {
        let mut rest = before;
        for row in 0..self.rows {
            let own = keys(row);
            if rest < own * self.heads {
                return row * self.heads + rest.div_ceil(own);
            }
            rest -= own * self.heads;
        }
        self.rows * self.heads
    }
}

/// Refuses a tensor with other dims than `wanted`.
pub fn check_dims(context: &Compute, of: (&str, &Tensor), query: &Tensor, wanted: &[usize]) -> Result<()> {
    if of.1.dims.iter().copied().eq(wanted.iter().map(|dim| *dim as i64)) {
        return Ok(());
    }
    let (name, dims) = (of.0, of.1.dims);
    Err(context.error(format_args!("{name} {dims:?} does not fit query {:?}: {wanted:?} wanted", query.dims)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hold_every_head_once_and_about_as_many_keys() {
        for lengths in [vec![1], vec![5, 900, 1, 1], vec![129; 8], vec![7, 1, 300, 2, 64]] {
            let shape = Shape {
                rows: lengths.len(),
                sequence: 1,
                heads: 12,
                group: 1,
                positions: 1024,
                capacity: 1024,
                head_size: 64,
            };
            let keys = |row: usize| lengths[row];
            let total = 12 * lengths.iter().sum::<usize>();
            let starts: Vec<_> = (0..=16).map(|share| shape.head_behind(total * share / 16, &keys)).collect();
            assert_eq!((starts[0], starts[16]), (0, 12 * lengths.len()));
            let longest = *lengths.iter().max().unwrap();
            for pair in starts.windows(2) {
                let read: usize = (pair[0]..pair[1]).map(|head| lengths[head / 12]).sum();
                assert!(read <= total.div_ceil(16) + longest, "{lengths:?}: {starts:?}");
            }
        }
    }
}
