//! What caches hold: numbers as they come, or their codes in int8.

use std::marker::PhantomData;

use super::heads::Shape;
use crate::kernels::InstructionSet;
use crate::kernels::blocked_attention::{Block, ByteBlock, ByteQueries, FloatBlock, ReadQuery, stride};
use crate::kernels::byte_rows::ByteRows;
use crate::kernels::instruction_set::DotSet;
use crate::ops::storage::Storage;

/// Keys or values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Keys,
    Values,
}

/// How caches hold rows of keys and values.
pub trait Rows: Send + Sync + 'static {
    /// The type of the operator's keys, values and caches.
    type Element: Storage;
    type Block<'a>: Block<Set = Self::Set>;
    /// Instructions for the work on a block.
    type Set: Copy + Send + Sync;

    fn fastest() -> Self::Set;

    /// Rows per head of tensors with this many positions.
    fn capacity(positions: usize, head_size: usize) -> usize;

    /// Writes a row of keys or values to `position` of a head.
    ///
    /// # Safety
    /// `row` is valid for the head size. `head` is the start of a head with room for the position.
    unsafe fn write(
        part: Part,
        row: *const Self::Element,
        head: *mut Self::Element,
        shape: &Shape,
        position: usize,
    );

    /// Replaces `queries`.
    ///
    /// # Safety
    /// Each of `rows` is valid for `head_size` elements.
    unsafe fn read_queries<T: Storage>(
        queries: &mut Queries,
        rows: impl ExactSizeIterator<Item = *const T>,
        head_size: usize,
    );

    /// The block from position `start` of a head's keys and values.
    fn block<'a>(
        heads: [*const Self::Element; 2],
        shape: &Shape,
        start: usize,
        queries: &'a Queries,
    ) -> Self::Block<'a>;
}

/// Query rows as a block's attention reads them, in one of the two forms.
pub struct Queries {
    floats: Vec<f32>,
    bytes: ByteQueries,
}

impl Queries {
    pub const fn new() -> Self {
        Self { floats: Vec::new(), bytes: ByteQueries::new() }
    }
}

/// Numbers as they come.
pub struct Floats<T>(PhantomData<T>);

impl<T: Storage> Rows for Floats<T> {
    type Element = T;
    type Block<'a> = FloatBlock<'a, T>;
    type Set = InstructionSet;

    fn fastest() -> InstructionSet {
        InstructionSet::fastest()
    }

    fn capacity(positions: usize, _: usize) -> usize {
        positions
    }

    unsafe fn write(_: Part, row: *const T, head: *mut T, shape: &Shape, position: usize) {
        // SAFETY: the caller promises the row, and a head with room for the position.
        unsafe { row.copy_to_nonoverlapping(head.add(position * shape.head_size), shape.head_size) };
    }

    unsafe fn read_queries<Q: Storage>(
        queries: &mut Queries,
        rows: impl ExactSizeIterator<Item = *const Q>,
        head_size: usize,
    ) {
        let (size, set, floats) = (stride(head_size), InstructionSet::fastest(), &mut queries.floats);
        floats.clear();
        floats.resize(rows.len() * size, 0.0);
        for (query, out) in rows.zip(floats.chunks_exact_mut(size)) {
            let out = out.as_mut_ptr();
            // SAFETY: the caller promises the query; `set` is the CPU's fastest.
            unsafe { ReadQuery { query, head_size, out, rounded_to: PhantomData::<T> }.run(set) };
        }
    }

    fn block<'a>(
        [keys, values]: [*const T; 2],
        shape: &Shape,
        start: usize,
        queries: &'a Queries,
    ) -> FloatBlock<'a, T> {
        let first = start * shape.head_size;
        FloatBlock {
            keys: keys.wrapping_add(first),
            values: values.wrapping_add(first),
            queries: &queries.floats,
        }
    }
}

/// Codes of numbers of type `T`, each row with one scale, in a tensor of `T` ([`ByteRows`]).
pub struct Codes<T>(PhantomData<T>);

impl<T: Storage> Codes<T> {
    fn layout(shape: &Shape) -> ByteRows {
        ByteRows { head_size: shape.head_size, capacity: shape.capacity }
    }
}

impl<T: Storage> Rows for Codes<T> {
    type Element = T;
    type Block<'a> = ByteBlock<'a>;
    type Set = DotSet;

    fn fastest() -> DotSet {
        DotSet::fastest()
    }

    fn capacity(positions: usize, head_size: usize) -> usize {
        ByteRows::within(positions, (head_size, size_of::<T>())).capacity
    }

    unsafe fn write(part: Part, row: *const T, head: *mut T, shape: &Shape, position: usize) {
        let (layout, head) = (Self::layout(shape), head.cast());
        // SAFETY: the caller promises the row, and a head with room for the position.
        unsafe {
            match part {
                Part::Keys => layout.write_key(head, position, row),
                Part::Values => layout.write_value(head, position, row),
            }
        }
    }

    unsafe fn read_queries<Q: Storage>(
        queries: &mut Queries,
        rows: impl ExactSizeIterator<Item = *const Q>,
        head_size: usize,
    ) {
        // SAFETY: the caller promises the queries.
        unsafe { queries.bytes.read(rows, head_size, InstructionSet::fastest()) }
    }

    fn block<'a>(heads: [*const T; 2], shape: &Shape, start: usize, queries: &'a Queries) -> ByteBlock<'a> {
        let layout = Self::layout(shape);
        let [keys, values] = heads.map(|head| head.cast::<u8>().wrapping_add(layout.codes(start)));
        let scales = heads.map(|head| head.cast::<u8>().wrapping_add(layout.scale(start)).cast());
        ByteBlock { keys, values, scales, queries: &queries.bytes }
    }
}
