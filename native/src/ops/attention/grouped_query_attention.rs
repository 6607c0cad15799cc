use std::cell::RefCell;
use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType::{self, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};

use super::appended::{self, Appended, PAST, new_rows};
use super::heads::{Heads, Shape};
use super::rows::{Part, Queries, Rows};
use super::segments::{SEGMENTS, Segment, of_batch, of_packed, packed};
use crate::kernels::InstructionSet;
use crate::kernels::blocked_attention::{BLOCK, BlockAttention, Finish, Merge, empty, record};
use crate::ops::compute::Compute;
use crate::ops::custom_op::Kernel;
use crate::ops::kernel_info::KernelInfo;
use crate::ops::shapes::Shapes;
use crate::ops::storage::Storage;
use crate::ops::tokens::{Place, SERIAL};
use crate::ort::Result;

/// query [batch, sequence, heads·d], key, value [batch, sequence, kv_heads·d], past_key, past_value [batch, kv_heads,
/// capacity, d], seqlens_k int32 [batch] (a row's total length − 1), total_sequence_length int32 [1], segments int32 [0,
/// 3] → mixed [batch, sequence, heads·d], present_key, present_value with the shape of the past. The new keys and values
/// follow the row's past, and every query attends to the keys up to its own, `local_window_size` of them at most. If the
/// present is the past's memory, nothing else is written.
///
/// Packed: batch is 1, the caches have a row per slot, and segments [segments, 3] says where the tokens belong: slot,
/// positions before, number of tokens. `seqlens_k` and `total_sequence_length` are not read. With fewer tokens than that
/// in query, key and value, these are the last ones.
///
/// Queries and results have elements of type `T`; keys, values and caches those of `R`, to which queries are rounded.
pub struct GroupedQueryAttention<T, R> {
    heads: Heads,
    /// Maximum number of keys for a query.
    window: usize,
    softcap: f32,
    _storage: PhantomData<(T, R)>,
}

/// Query rows that read a block of keys together.
const TILE: usize = 32;

/// Maximum numbers in the records of blocks that are merged at the end: 32 MiB. With more of them, the heads are tasks
/// enough.
const MAX_RECORDS: usize = 1 << 23;

impl<T: Storage, R: Rows> Kernel for GroupedQueryAttention<T, R> {
    const NAME: &'static CStr = c"GroupedQueryAttention";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = SEGMENTS + 1;
    const OUTPUTS: usize = 3;
    const IN_PLACE: usize = 0;

    fn input_type(input: usize) -> ONNXTensorElementDataType {
        match input {
            0 => T::TYPE,
            SEGMENTS => ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
            _ => appended::input_type::<R::Element>(input),
        }
    }

    fn output_type(output: usize) -> ONNXTensorElementDataType {
        if output == 0 { T::TYPE } else { R::Element::TYPE }
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
        let packed = packed(context, &query)?;
        let slots = packed.and_then(|_| past[0].dims.first().copied());
        let caches = (("past_key", &past[0]), ("past_value", &past[1]));
        let shape = self.heads.shape(context, &query, caches, slots)?;
        let shape = Shape { capacity: R::capacity(shape.positions, shape.head_size), ..shape };
        if shape.rows * shape.sequence == 0 {
            return Err(context.error(format_args!("query {:?} has no tokens", query.dims)));
        }
        let new = [
            new_rows(context, (1, "key"), &query, &shape)?,
            new_rows(context, (2, "value"), &query, &shape)?,
        ];
        let slots = slots.map_or(shape.rows, |slots| slots as usize);
        let segments = match packed {
            Some(numbers) => of_packed(context, numbers, (&shape, slots))?,
            None => of_batch(context, &query, &shape)?,
        };
        let out = Place::of(context.output::<T>(0, query.dims)?);
        let keys = Appended::<R>::of(context, Part::Keys, &past[0], &new[0])?;
        let values = Appended::<R>::of(context, Part::Values, &past[1], &new[1])?;
        let mut of_slot = vec![None; slots];
        for segment in &segments {
            of_slot[segment.slot] = Some(segment);
        }
        let products = shape.rows * shape.sequence * shape.heads * shape.head_size;
        parallel(context, slots * shape.heads, products, &|head| {
            // SAFETY: the tensors have the shapes just checked, and no other head writes to this one's rows.
            unsafe {
                for cache in [&keys, &values] {
                    cache.keep(&shape, head);
                    if let Some(segment) = of_slot[head / shape.heads] {
                        cache.append(&shape, segment, head % shape.heads);
                    }
                }
            }
        })?;
        let call = Call::<T, R> {
            shape,
            scale: self.heads.scale,
            window: self.window,
            softcap: self.softcap,
            set: InstructionSet::fastest(),
            block_set: R::fastest(),
            query: Place::of(query.data()),
            keys: keys.present,
            values: values.present,
            out,
        };
        let heads = segments
            .iter()
            .flat_map(|segment| (0..shape.heads).map(move |own| (*segment, own)))
            .map(|(segment, own)| Tile { segment, own, from: 0, to: segment.count * shape.group });
        let mut numbers = 0;
        let (short, long): (Vec<_>, Vec<_>) = heads.partition(|rows| {
            if rows.to > TILE {
                return false;
            }
            numbers += call.blocks(rows).len() * rows.to * record(shape.head_size);
            numbers <= MAX_RECORDS
        });
        call.by_blocks(context, &short)?;
        call.by_tiles(context, &long)
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
struct Call<T, R: Rows> {
    shape: Shape,
    scale: f32,
    window: usize,
    softcap: f32,
    set: InstructionSet,
    block_set: R::Set,
    query: Place<T>,
    keys: Place<R::Element>,
    values: Place<R::Element>,
    out: Place<T>,
}

/// Query rows `from..to` of a segment that share head `own`, counted token by token and query head by query head.
#[derive(Clone, Copy)]
struct Tile {
    segment: Segment,
    own: usize,
    from: usize,
    to: usize,
}

impl<T: Storage, R: Rows> Call<T, R> {
    /// Positions that a row of a tile attends to.
    fn span(&self, tile: &Tile, row: usize) -> (usize, usize) {
        let end = tile.segment.first + row / self.shape.group + 1;
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
        self.shape.place(tile.segment.token + row / group, tile.own) * group + row % group * head_size
    }

    fn read_queries(&self, tile: &Tile, queries: &mut Queries) {
        let rows = (tile.from..tile.to).map(|row| self.query.at(self.place(tile, row)).cast_const());
        // SAFETY: the query tensor has these rows.
        unsafe { R::read_queries(queries, rows, self.shape.head_size) }
    }

    /// Leaves a tile's records of one block in `sums`.
    fn attend(&self, tile: &Tile, block: usize, queries: &Queries, sums: &mut [f32]) {
        let start = block * BLOCK;
        let mut spans = [(0, 0); TILE];
        let rows = tile.to - tile.from;
        for (i, span) in spans[..rows].iter_mut().enumerate() {
            let (from, to) = self.span(tile, tile.from + i);
            let inside = |position: usize| position.clamp(start, start + BLOCK) - start;
            *span = (inside(from), inside(to));
        }
        let head = self.shape.head(tile.segment.slot * self.shape.heads + tile.own);
        let heads = [&self.keys, &self.values].map(|cache| cache.at(head).cast_const());
        let attention = BlockAttention {
            head_size: self.shape.head_size,
            scale: self.scale,
            softcap: self.softcap,
            block: R::block(heads, &self.shape, start, queries),
            spans: &spans[..rows],
            sums,
        };
        // SAFETY: spans end at the last new position at most, which segments put within the capacity.
        unsafe { attention.run(self.block_set) };
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

    /// A task for each tile of many rows per head.
    fn by_tiles(&self, context: &Compute, heads: &[Tile]) -> Result<()> {
        let head_size = self.shape.head_size;
        let cut = |rows: &Tile| {
            let rows = *rows;
            (0..rows.to).step_by(TILE).map(move |from| Tile { from, to: rows.to.min(from + TILE), ..rows })
        };
        let mut tiles: Vec<_> = heads.iter().flat_map(cut).collect();
        if tiles.is_empty() {
            return Ok(());
        }
        // Long tiles first, because threads that finish early take the short ones.
        tiles.sort_by_key(|tile| std::cmp::Reverse(self.blocks(tile).len()));
        context.parallel(tiles.len(), &|task| {
            SCRATCH.with_borrow_mut(|Scratch { queries, sums, merged }| {
                let tile = tiles[task];
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

    /// A task for each block of heads with few rows, which are one tile each. Blocks are merged at the end.
    fn by_blocks(&self, context: &Compute, tiles: &[Tile]) -> Result<()> {
        let size = record(self.shape.head_size);
        // Where each tile's tasks begin, and what they leave: a record for each row.
        let mut starts = Vec::with_capacity(tiles.len() + 1);
        starts.push((0, 0));
        let (mut count, mut numbers, mut products) = (0, 0, 0);
        for tile in tiles {
            count += self.blocks(tile).len();
            numbers += self.blocks(tile).len() * tile.to * size;
            products += self.products(tile);
            starts.push((count, numbers));
        }
        RECORDS.with_borrow_mut(|records| {
            if records.len() < numbers {
                records.resize(numbers, 0.0);
            }
            let all = Place::of(records.as_mut_ptr());
            let of_task = |index: usize, task: usize| {
                let (first, start) = starts[index];
                let length = tiles[index].to * size;
                // SAFETY: each task has its own records.
                unsafe { std::slice::from_raw_parts_mut(all.at(start + (task - first) * length), length) }
            };
            parallel(context, count, products, &|task| {
                let index = starts.partition_point(|(first, _)| *first <= task) - 1;
                let tile = &tiles[index];
                SCRATCH.with_borrow_mut(|Scratch { queries, .. }| {
                    self.read_queries(tile, queries);
                    let block = self.blocks(tile).start + task - starts[index].0;
                    self.attend(tile, block, queries, of_task(index, task));
                });
            })?;
            parallel(context, tiles.len(), numbers, &|index| {
                let tile = &tiles[index];
                SCRATCH.with_borrow_mut(|Scratch { merged, .. }| {
                    merged.resize(size, 0.0);
                    for row in 0..tile.to {
                        empty(merged);
                        for task in starts[index].0..starts[index + 1].0 {
                            self.merge(merged, &of_task(index, task)[row * size..(row + 1) * size]);
                        }
                        self.finish(tile, row, merged);
                    }
                });
            })
        })
    }
}

/// What a thread computes in.
struct Scratch {
    queries: Queries,
    sums: Vec<f32>,
    merged: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        const { RefCell::new(Scratch { queries: Queries::new(), sums: Vec::new(), merged: Vec::new() }) };
    /// Records of all blocks of one call.
    static RECORDS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}
