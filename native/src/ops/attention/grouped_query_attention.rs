use std::cell::RefCell;
use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::appended::{self, Appended, PAST, lengths, new_rows, total};
use super::heads::{Heads, Shape};
use crate::kernels::InstructionSet;
use crate::kernels::blocked_attention::{BLOCK, BlockAttention, Finish, Merge, empty, record, stride};
use crate::ops::compute::Compute;
use crate::ops::custom_op::Kernel;
use crate::ops::kernel_info::KernelInfo;
use crate::ops::shapes::Shapes;
use crate::ops::storage::Storage;
use crate::ops::tokens::{Place, SERIAL};
use crate::ort::Result;

/// query [batch, sequence, heads·d], key, value [batch, sequence, kv_heads·d], past_key, past_value [batch, kv_heads,
/// capacity, d], seqlens_k int32 [batch] (a row's total length − 1), total_sequence_length int32 [1] → mixed [batch,
/// sequence, heads·d], present_key, present_value with the shape of the past. The new keys and values follow the row's
/// past, and every query attends to the keys up to its own, `local_window_size` of them at most. If the present is the
/// past's memory, nothing else is written.
pub struct GroupedQueryAttention<T> {
    heads: Heads,
    /// Maximum number of keys for a query.
    window: usize,
    softcap: f32,
    _storage: PhantomData<T>,
}

/// Query rows that read a block of keys together.
const TILE: usize = 32;

impl<T: Storage> Kernel for GroupedQueryAttention<T> {
    const NAME: &'static CStr = c"GroupedQueryAttention";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 7;
    const OUTPUTS: usize = 3;
    const IN_PLACE: usize = 0;

    fn input_type(input: usize) -> ONNXTensorElementDataType {
        appended::input_type::<T>(input)
    }

    fn infer(shapes: &Shapes) -> Result<()> {
        appended::infer(shapes)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        let window = match info.integer(c"local_window_size")? {
            -1 => usize::MAX,
            window @ 1.. => window as usize,
            window => {
                return Err(
                    info.error(format_args!("attribute local_window_size is {window}, not -1 or at least 1"))
                );
            }
        };
        let softcap = info.float(c"softcap")?;
        if !(softcap >= 0.0 && softcap.is_finite()) {
            return Err(info.error(format_args!("attribute softcap is {softcap}, not 0 or above")));
        }
        Ok(Self { heads: Heads::grouped(info)?, window, softcap, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let query = context.input(0)?;
        let past = [context.input(PAST[0])?, context.input(PAST[1])?];
        let shape = self.heads.shape(context, &query, ("past_key", &past[0]), ("past_value", &past[1]))?;
        if shape.rows * shape.sequence == 0 {
            return Err(context.error(format_args!("query {:?} has no tokens", query.dims)));
        }
        let new = [
            new_rows(context, (1, "key"), &query, &shape)?,
            new_rows(context, (2, "value"), &query, &shape)?,
        ];
        let lengths = lengths(context, &query, &shape, total(context)?)?;
        let out = Place::of(context.output::<T>(0, query.dims)?);
        let keys = Appended::<T>::of(context, 1, &past[0], &new[0])?;
        let values = Appended::<T>::of(context, 2, &past[1], &new[1])?;
        let first = |head: usize| lengths[head / shape.heads] as usize + 1 - shape.sequence;
        let heads = shape.rows * shape.heads;
        parallel(context, heads, heads * shape.sequence * shape.head_size, &|head| {
            // SAFETY: the tensors have the shapes just checked, and no other head writes to this one's rows.
            unsafe {
                keys.append(&shape, head, first(head));
                values.append(&shape, head, first(head));
            }
        })?;
        let call = Call {
            shape,
            scale: self.heads.scale,
            window: self.window,
            softcap: self.softcap,
            set: InstructionSet::fastest(),
            query: Place::of(query.data()),
            keys: keys.present,
            values: values.present,
            out,
        };
        if shape.sequence * shape.group <= TILE {
            call.by_blocks(context, &first)
        } else {
            call.by_tiles(context, &first)
        }
    }
}

/// Runs `task(0) … task(count - 1)`, on several threads if there are at least [`SERIAL`] products.
fn parallel(context: &Compute, count: usize, products: usize, task: &(impl Fn(usize) + Sync)) -> Result<()> {
    if count == 1 || products < SERIAL {
        (0..count).for_each(task);
        return Ok(());
    }
    context.parallel(count, task)
}

/// One call of the kernel, with the new keys and values appended.
struct Call<T> {
    shape: Shape,
    scale: f32,
    window: usize,
    softcap: f32,
    set: InstructionSet,
    query: Place<T>,
    keys: Place<T>,
    values: Place<T>,
    out: Place<T>,
}

/// Query rows `from..to` of one head, counted token by token and query head by query head.
#[derive(Clone, Copy)]
struct Tile {
    head: usize,
    /// Position of the head's first new token.
    first: usize,
    from: usize,
    to: usize,
}

impl<T: Storage> Call<T> {
    /// Positions that a row of a tile attends to.
    fn span(&self, tile: &Tile, row: usize) -> (usize, usize) {
        let end = tile.first + row / self.shape.group + 1;
        (end.saturating_sub(self.window), end)
    }

    /// The blocks that a tile reads.
    fn blocks(&self, tile: &Tile) -> std::ops::Range<usize> {
        self.span(tile, tile.from).0 / BLOCK..self.span(tile, tile.to - 1).1.div_ceil(BLOCK)
    }

    fn products(&self, tile: &Tile) -> usize {
        self.blocks(tile).len() * BLOCK * (tile.to - tile.from) * self.shape.head_size
    }

    /// Address of a row's query in `query` and of its result in `out`.
    fn place(&self, tile: &Tile, row: usize) -> usize {
        let Shape { group, head_size, .. } = self.shape;
        self.shape.queries(tile.head, row / group) + row % group * head_size
    }

    /// A tile's queries in f32, [rows, stride].
    fn read_queries(&self, tile: &Tile, queries: &mut Vec<f32>) {
        let size = self.shape.head_size;
        queries.clear();
        for row in tile.from..tile.to {
            // SAFETY: the query tensor has these rows.
            let query = unsafe { std::slice::from_raw_parts(self.query.at(self.place(tile, row)), size) };
            queries.extend(query.iter().map(|number| number.to_f32()));
            queries.resize(queries.len().next_multiple_of(stride(size)), 0.0);
        }
    }

    /// Leaves a tile's records of one block in `sums`.
    fn attend(&self, tile: &Tile, block: usize, queries: &[f32], sums: &mut [f32]) {
        let Shape { capacity, head_size, .. } = self.shape;
        let start = block * BLOCK;
        let mut spans = [(0, 0); TILE];
        let rows = tile.to - tile.from;
        for (i, span) in spans[..rows].iter_mut().enumerate() {
            let (from, to) = self.span(tile, tile.from + i);
            let inside = |position: usize| position.clamp(start, start + BLOCK) - start;
            *span = (inside(from), inside(to));
        }
        let at = (tile.head * capacity + start) * head_size;
        let attention = BlockAttention {
            head_size,
            scale: self.scale,
            softcap: self.softcap,
            keys: self.keys.at(at).cast_const(),
            values: self.values.at(at).cast_const(),
            spans: &spans[..rows],
            queries,
            sums,
        };
        // SAFETY: spans end at the last new position at most, which `lengths` put within the capacity.
        unsafe { attention.run(self.set) };
    }

    fn merge(&self, into: &mut [f32], block: &[f32]) {
        // SAFETY: `set` is the CPU's fastest.
        unsafe { Merge { into, block }.run(self.set) };
    }

    fn finish(&self, tile: &Tile, row: usize, record: &[f32]) {
        let (out, head_size) = (self.out.at(self.place(tile, tile.from + row)), self.shape.head_size);
        // SAFETY: the output has the query's shape, and no other task writes this row.
        unsafe { Finish { record, out, head_size }.run(self.set) }
    }

    /// A task for each tile, for many rows per head.
    fn by_tiles(&self, context: &Compute, first: &(impl Fn(usize) -> usize + Sync)) -> Result<()> {
        let Shape { rows, heads, sequence, group, head_size, .. } = self.shape;
        let tiles = (sequence * group).div_ceil(TILE);
        let tile_of = |task: usize| {
            // Long tiles first, because threads that finish early take the short ones.
            let (head, tile) = (task % (rows * heads), tiles - 1 - task / (rows * heads));
            Tile {
                head,
                first: first(head),
                from: tile * TILE,
                to: (sequence * group).min((tile + 1) * TILE),
            }
        };
        context.parallel(rows * heads * tiles, &|task| {
            SCRATCH.with_borrow_mut(|Scratch { queries, sums, merged }| {
                let tile = tile_of(task);
                let size = record(head_size);
                self.read_queries(&tile, queries);
                sums.resize(TILE * size, 0.0);
                merged.resize(TILE * size, 0.0);
                merged.chunks_exact_mut(size).for_each(empty);
                for block in self.blocks(&tile) {
                    self.attend(&tile, block, queries, sums);
                    let rows = tile.to - tile.from;
                    for (into, block) in merged.chunks_exact_mut(size).zip(sums.chunks_exact(size)).take(rows)
                    {
                        self.merge(into, block);
                    }
                }
                for (row, record) in merged.chunks_exact(size).take(tile.to - tile.from).enumerate() {
                    self.finish(&tile, row, record);
                }
            });
        })
    }

    /// A task for each block, for few rows per head: each head's rows are one tile. Blocks are merged at the end.
    fn by_blocks(&self, context: &Compute, first: &(impl Fn(usize) -> usize + Sync)) -> Result<()> {
        let Shape { rows, heads, sequence, group, head_size, .. } = self.shape;
        let size = record(head_size);
        let tile_of = |head: usize| Tile { head, first: first(head), from: 0, to: sequence * group };
        // Where each head's tasks begin.
        let mut starts = Vec::with_capacity(rows * heads + 1);
        starts.push(0);
        let mut products = 0;
        for head in 0..rows * heads {
            let tile = tile_of(head);
            starts.push(starts[head] + self.blocks(&tile).len());
            products += self.products(&tile);
        }
        let count = starts[rows * heads];
        RECORDS.with_borrow_mut(|records| {
            let records_per_task = sequence * group * size;
            if records.len() < count * records_per_task {
                records.resize(count * records_per_task, 0.0);
            }
            let all = Place::of(records.as_mut_ptr());
            // SAFETY: each task has its own records.
            let of_task = |task: usize| unsafe {
                std::slice::from_raw_parts_mut(all.at(task * records_per_task), records_per_task)
            };
            parallel(context, count, products, &|task| {
                let head = starts.partition_point(|start| *start <= task) - 1;
                let tile = tile_of(head);
                SCRATCH.with_borrow_mut(|Scratch { queries, .. }| {
                    self.read_queries(&tile, queries);
                    let block = self.blocks(&tile).start + task - starts[head];
                    self.attend(&tile, block, queries, of_task(task));
                });
            })?;
            let merges = count * records_per_task;
            parallel(context, rows * heads, merges, &|head| {
                let tile = tile_of(head);
                SCRATCH.with_borrow_mut(|Scratch { merged, .. }| {
                    merged.resize(size, 0.0);
                    for row in 0..sequence * group {
                        empty(merged);
                        for task in starts[head]..starts[head + 1] {
                            self.merge(merged, &of_task(task)[row * size..(row + 1) * size]);
                        }
                        self.finish(&tile, row, merged);
                    }
                });
            })
        })
    }
}

/// What a thread computes in.
struct Scratch {
    queries: Vec<f32>,
    sums: Vec<f32>,
    merged: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        const { RefCell::new(Scratch { queries: Vec::new(), sums: Vec::new(), merged: Vec::new() }) };
    /// Records of all blocks of one call.
    static RECORDS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}
