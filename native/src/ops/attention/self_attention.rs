use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::appended::{self, Appended, PAST, lengths, new_rows, total};
use super::heads::{Heads, check_dims};
use super::rows::{Floats, Part};
use super::segments::Segment;
use crate::kernels::InstructionSet;
use crate::kernels::attention::{Attention, Cached};
use crate::ops::compute::Compute;
use crate::ops::custom_op::Kernel;
use crate::ops::kernel_info::KernelInfo;
use crate::ops::shapes::Shapes;
use crate::ops::storage::Storage;
use crate::ops::tokens::Place;
use crate::ort::Result;

/// query, key, value [batch, sequence, heads·d], past_key, past_value [batch, heads, capacity, d], seqlens_k int32
/// [batch] (a row's total length − 1), total_sequence_length int32 [1], bias [batch, heads, sequence, total] → mixed
/// [batch, sequence, heads·d], present_key, present_value with the shape of the past. The new keys and values follow
/// the row's past, and every query attends to the keys up to its own. If the present is the past's memory, nothing else
/// is written.
pub struct SelfAttention<T> {
    heads: Heads,
    _storage: PhantomData<T>,
}

const BIAS: usize = 7;

impl<T: Storage> Kernel for SelfAttention<T> {
    const NAME: &'static CStr = c"SelfAttention";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 8;
    const OUTPUTS: usize = 3;
    const IN_PLACE: usize = 0;

    fn input_type(input: usize) -> ONNXTensorElementDataType {
        appended::input_type::<T>(input)
    }

    fn infer(shapes: &Shapes) -> Result<()> {
        appended::infer(shapes)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        Ok(Self { heads: Heads::of(info)?, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let query = context.input(0)?;
        let past = [context.input(PAST[0])?, context.input(PAST[1])?];
        let shape =
            self.heads.shape(context, &query, (("past_key", &past[0]), ("past_value", &past[1])), None)?;
        let new = [
            new_rows(context, (1, "key"), &query, &shape)?,
            new_rows(context, (2, "value"), &query, &shape)?,
        ];
        let total = total(context)?;
        let lengths = lengths(context, &query, &shape, total)?;
        let bias = context.input(BIAS)?;
        check_dims(context, ("bias", &bias), &query, &[shape.rows, shape.heads, shape.sequence, total])?;

        let out = Place::of(context.output::<T>(0, query.dims)?);
        let keys = Appended::<Floats<T>>::of(context, Part::Keys, &past[0], &new[0])?;
        let values = Appended::<Floats<T>>::of(context, Part::Values, &past[1], &new[1])?;
        let (query, bias) = (Place::of(query.data::<T>()), Place::of(bias.data::<T>()));
        let length = |row: usize| lengths[row] as usize + 1;
        let cached = |head: usize, count: usize| Cached::<T> {
            keys: keys.present.at(shape.head(head)),
            values: values.present.at(shape.head(head)),
            count,
        };
        let set = InstructionSet::fastest();
        shape.for_each_head(context, &length, &|head| {
            let row = head / shape.heads;
            let first = length(row) - shape.sequence;
            let own = head % shape.heads;
            let segment = Segment { slot: row, first, count: shape.sequence, token: row * shape.sequence };
            // SAFETY: the tensors have the shapes just checked, and no other head writes to this one's rows.
            unsafe {
                for cache in [&keys, &values] {
                    cache.keep(&shape, head);
                    cache.append(&shape, &segment, own);
                }
            }
            for token in 0..shape.sequence {
                let place = shape.place(segment.token + token, own);
                let following =
                    if head + 1 < shape.rows * shape.heads { length((head + 1) / shape.heads) } else { 0 };
                let attention = Attention {
                    query: query.at(place),
                    cached: cached(head, first + token + 1),
                    bias: bias.at((head * shape.sequence + token) * total),
                    out: out.at(place),
                    head_size: shape.head_size,
                    scale: self.heads.scale,
                    next: cached(head + 1, following),
                };
                // SAFETY: as above; the output shares no memory with inputs.
                unsafe { attention.run(set) };
            }
        })
    }
}
