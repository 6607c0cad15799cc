use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;

use ort_sys::ONNXTensorElementDataType::{self, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};

use super::heads::{Heads, check_dims};
use crate::kernels::InstructionSet;
use crate::kernels::attention::{Attention, Cached};
use crate::ops::compute::Compute;
use crate::ops::custom_op::Kernel;
use crate::ops::kernel_info::KernelInfo;
use crate::ops::shapes::Shapes;
use crate::ops::storage::Storage;
use crate::ops::tokens::Place;
use crate::ort::Result;

/// query [batch, sequence, heads·d], keys and values [batch, heads, capacity, d], lengths int32 [batch], padding →
/// [batch, sequence, heads·d]: every query attends to the first `lengths[row]` keys of its row. Later keys are not
/// read, so the padding's bias, which hides them elsewhere, is not read either.
pub struct CrossAttention<T> {
    heads: Heads,
    _storage: PhantomData<T>,
}

const LENGTHS: usize = 3;

impl<T: Storage> Kernel for CrossAttention<T> {
    const NAME: &'static CStr = c"CrossAttention";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 5;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 1;

    fn input_type(input: usize) -> ONNXTensorElementDataType {
        if input == LENGTHS { ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 } else { T::TYPE }
    }

    fn infer(shapes: &Shapes) -> Result<()> {
        shapes.same(0, 0)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        Ok(Self { heads: Heads::of(info)?, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let (query, keys, values) = (context.input(0)?, context.input(1)?, context.input(2)?);
        let shape = self.heads.shape(context, &query, (("keys", &keys), ("values", &values)), None)?;
        let lengths = context.input(LENGTHS)?;
        check_dims(context, ("lengths", &lengths), &query, &[shape.rows])?;
        // SAFETY: there is one length for each row.
        let lengths = unsafe { std::slice::from_raw_parts(lengths.data::<i32>().cast_const(), shape.rows) };
        let limit = shape.capacity;
        if let Some(row) = lengths.iter().position(|length| *length < 1 || *length as usize > limit) {
            let length = lengths[row];
            return Err(context.error(format_args!("lengths[{row}] is {length}, not 1 to {limit}")));
        }

        let out = Place::of(context.output::<T>(0, query.dims)?);
        let query = Place::of(query.data::<T>());
        let (keys, values) = (Place::of(keys.data::<T>()), Place::of(values.data::<T>()));
        let cached = |head: usize| Cached::<T> {
            keys: keys.at(shape.head(head)),
            values: values.at(shape.head(head)),
            count: lengths.get(head / shape.heads).map_or(0, |length| *length as usize),
        };
        let set = InstructionSet::fastest();
        shape.for_each_head(context, &|row| lengths[row] as usize, &|head| {
            let (row, own) = (head / shape.heads, head % shape.heads);
            for token in 0..shape.sequence {
                let place = shape.place(row * shape.sequence + token, own);
                let attention = Attention {
                    query: query.at(place),
                    cached: cached(head),
                    bias: ptr::null(),
                    out: out.at(place),
                    head_size: shape.head_size,
                    scale: self.heads.scale,
                    next: cached(head + 1),
                };
                // SAFETY: the tensors have the shapes just checked; a query is read before its place is written to.
                unsafe { attention.run(set) };
            }
        })
    }
}
