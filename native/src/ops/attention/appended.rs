//! A cache that an operator appends new keys or values to.

use ort_sys::ONNXTensorElementDataType::{self, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};

use super::heads::{Shape, check_dims};
use super::rows::{Part, Rows};
use super::segments::Segment;
use crate::ops::compute::{Compute, Tensor};
use crate::ops::shapes::Shapes;
use crate::ops::storage::Storage;
use crate::ops::tokens::Place;
use crate::ort::Result;

/// Inputs of an operator that appends: past keys and past values, the rows' lengths and the maximum length.
pub const PAST: [usize; 2] = [3, 4];
const LENGTHS: usize = 5;
const TOTAL: usize = 6;

/// Element type of an input of an operator for elements of type `T`.
pub fn input_type<T: Storage>(input: usize) -> ONNXTensorElementDataType {
    if input == LENGTHS || input == TOTAL { ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 } else { T::TYPE }
}

/// The outputs are the mixed values, like the query, and the present keys and values, like the past.
pub fn infer(shapes: &Shapes) -> Result<()> {
    shapes.same(0, 0)?;
    shapes.same(1, PAST[0])?;
    shapes.same(2, PAST[1])
}

/// The maximum length of a row, from int32 [1].
pub fn total(context: &Compute) -> Result<usize> {
    let total = context.input(TOTAL)?;
    if total.dims != [1] {
        return Err(context.error(format_args!("total_sequence_length {:?} is not [1]", total.dims)));
    }
    // SAFETY: the tensor has one element.
    let value = unsafe { total.data::<i32>().read() };
    usize::try_from(value)
        .map_err(|_| context.error(format_args!("total_sequence_length is {value}, below zero")))
}

/// `seqlens_k`, a row's total length − 1, checked: each includes the new rows and lies within the cache and `total`.
pub fn lengths<'a>(context: &'a Compute, query: &Tensor, shape: &Shape, total: usize) -> Result<&'a [i32]> {
    let tensor = context.input(LENGTHS)?;
    check_dims(context, ("seqlens_k", &tensor), query, &[shape.rows])?;
    // SAFETY: there is one length for each row.
    let lengths = unsafe { std::slice::from_raw_parts(tensor.data::<i32>().cast_const(), shape.rows) };
    let (least, limit) = (shape.sequence as i64 - 1, shape.capacity.min(total) as i64 - 1);
    match lengths.iter().position(|length| !(least..=limit).contains(&i64::from(*length))) {
        Some(row) => Err(context.error(format_args!(
            "seqlens_k[{row}] is {}, not {least} to {limit}: {} new tokens, a capacity of {}, a total of {total}",
            lengths[row], shape.sequence, shape.capacity
        ))),
        None => Ok(lengths),
    }
}

/// The keys or values of the new tokens, [rows, sequence, heads · head size].
pub fn new_rows<'a>(
    context: &'a Compute,
    (input, name): (usize, &str),
    query: &Tensor,
    shape: &Shape,
) -> Result<Tensor<'a>> {
    let tensor = context.input(input)?;
    if tensor.dims != [shape.rows, shape.sequence, shape.heads * shape.head_size].map(|dim| dim as i64) {
        return Err(
            context.error(format_args!("{name} {:?} does not fit query {:?}", tensor.dims, query.dims))
        );
    }
    Ok(tensor)
}

/// Keys or values: the past, the new rows, and the memory for both.
pub struct Appended<R: Rows> {
    part: Part,
    past: Place<R::Element>,
    new: Place<R::Element>,
    pub present: Place<R::Element>,
}

impl<R: Rows> Appended<R> {
    /// The present is the operator's output 1 for keys and 2 for values, and has the shape of the past.
    pub fn of(context: &Compute, part: Part, past: &Tensor, new: &Tensor) -> Result<Self> {
        let output = if part == Part::Keys { 1 } else { 2 };
        let present = Place::of(context.output::<R::Element>(output, past.dims)?);
        Ok(Self { part, past: Place::of(past.data()), new: Place::of(new.data()), present })
    }

    /// Makes the present of one head of a slot the past, unless they are the same memory. `head`: counted over all slots.
    pub unsafe fn keep(&self, shape: &Shape, head: usize) {
        let past = self.past.at(shape.head(head)).cast_const();
        let present = self.present.at(shape.head(head));
        // SAFETY: the caller's tensors fit `shape`. The present is the past's memory or apart from it: ONNX Runtime and
        // `Layers::bind` see to it, nothing here checks it.
        unsafe {
            if present.cast_const() != past {
                past.copy_to_nonoverlapping(present, shape.head(1));
            }
        }
    }

    /// Writes a segment's new rows of head `own` to its slot.
    pub unsafe fn append(&self, shape: &Shape, segment: &Segment, own: usize) {
        let head = self.present.at(shape.head(segment.slot * shape.heads + own));
        for token in 0..segment.count {
            let row = self.new.at(shape.place(segment.token + token, own)).cast_const();
            // SAFETY: the caller's tensors fit `shape`, and its segments were checked to lie within the capacity.
            unsafe { R::write(self.part, row, head, shape, segment.first + token) };
        }
    }
}
