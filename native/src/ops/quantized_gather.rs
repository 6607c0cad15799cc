use std::ffi::CStr;

use ort_sys::ONNXTensorElementDataType::{
    self, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
    ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
};

use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::shapes::{Dimension, Shapes};
use super::tied_matrix::{self, Tied};
use super::tokens::{Place, for_each_token};
use crate::kernels::quantized_product::{BLOCK, Codes};
use crate::ort::Result;

/// codes uint8 [N, K · bits / 8], ids int64 of any shape, scales float32 [N, K / 32], zero_points uint8
/// [N, ⌈K / 32 · bits / 8⌉] → scale · (code − zero point) of the rows `ids` [..., K]. A negative id counts from the end.
/// Only for the CPU, where a tied head has packed the table; the numbers are those of the function body.
pub struct QuantizedGather {
    bits: usize,
    tied: Option<Tied>,
}

const CODES: usize = 0;
const IDS: usize = 1;
const SCALES: usize = 2;
const ZEROS: usize = 3;

impl Kernel for QuantizedGather {
    const NAME: &'static CStr = c"QuantizedGather";
    const TYPE: ONNXTensorElementDataType = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    const INPUTS: usize = 4;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 0;

    fn input_type(input: usize) -> ONNXTensorElementDataType {
        match input {
            CODES | ZEROS => ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
            IDS => ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
            _ => ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        }
    }

    fn infer(shapes: &Shapes) -> Result<()> {
        let (Some(mut shape), Some(table), Some(bits)) =
            (shapes.input(IDS), shapes.input(CODES), shapes.int(c"bits").filter(|bits| *bits > 0))
        else {
            return Ok(());
        };
        let Some(Dimension::Size(bytes)) = table.last() else { return Ok(()) };
        shape.push(Dimension::Size(bytes * 8 / bits));
        shapes.set_as(0, &shape, SCALES)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        let bits = info.index(c"bits")?;
        if bits != 4 && bits != 8 {
            return Err(info.error(format_args!("attribute bits is {bits}, not 4 or 8")));
        }
        let parts = [info.constant(CODES)?, info.constant(SCALES)?, info.constant(ZEROS)?];
        let tied = match parts {
            [Some(codes), Some(scales), Some(zeros)] => Some(tied_matrix::wait_for([codes, scales, zeros])),
            _ => None,
        };
        Ok(Self { bits, tied })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let parts = [context.input(CODES)?, context.input(SCALES)?, context.input(ZEROS)?];
        let table = Table::of(self.bits, parts).map_err(|text| context.error(format_args!("{text}")))?;
        let ids = context.input(IDS)?;
        let dims: Vec<i64> = ids.dims.iter().copied().chain([table.width() as i64]).collect();
        let count = ids.dims.iter().product::<i64>() as usize;
        let out = Place::of(context.output::<f32>(0, &dims)?);
        let ids = match count {
            0 => &[],
            // SAFETY: the tensor has that many ids. A pointer to none may be null.
            _ => unsafe { std::slice::from_raw_parts(ids.data::<i64>(), count) },
        };
        let rows = table.rows as i64;
        if let Some(id) = ids.iter().find(|id| !(-rows..rows).contains(*id)) {
            return Err(context.error(format_args!("id {id} is not one of {rows} rows")));
        }
        let packed = self.tied.as_ref().and_then(|tied| tied.get());
        for_each_token(context, count, table.width(), &|token| {
            let row = ids[token].rem_euclid(rows) as usize;
            let own = out.at(token * table.width());
            // SAFETY: the output has a row for each token, and no other thread has this one.
            let own = unsafe { std::slice::from_raw_parts_mut(own, table.width()) };
            match packed {
                Some(packed) => packed.read_row(row, own),
                None => table.read_row(row, own),
            }
        })
    }
}

/// The table's tensors, whose dims fit each other.
struct Table {
    bits: usize,
    rows: usize,
    blocks: usize,
    codes: Place<u8>,
    scales: Place<f32>,
    zeros: Place<u8>,
}

impl Table {
    fn of(bits: usize, [codes, scales, zeros]: [Tensor; 3]) -> std::result::Result<Self, String> {
        let block = BLOCK * bits / 8;
        let [rows, bytes] = *codes.dims else {
            return Err(format!("codes {:?} is not a matrix", codes.dims));
        };
        let blocks = bytes as usize / block;
        if bytes as usize != blocks * block {
            return Err(format!("codes {:?} is not [N, a multiple of {block}]", codes.dims));
        }
        let packed_zeros = (blocks * bits).div_ceil(8);
        for (name, part, wanted) in [("scales", scales, blocks), ("zero_points", zeros, packed_zeros)] {
            if part.dims != [rows, wanted as i64] {
                let dims = part.dims;
                return Err(format!("{name} {dims:?} does not fit codes: [{rows}, {wanted}] wanted"));
            }
        }
        let (codes, scales, zeros) =
            (Place::of(codes.data()), Place::of(scales.data()), Place::of(zeros.data()));
        Ok(Self { bits, rows: rows as usize, blocks, codes, scales, zeros })
    }

    fn width(&self) -> usize {
        self.blocks * BLOCK
    }

    /// Panics if there is no such row.
    fn read_row(&self, row: usize, out: &mut [f32]) {
        let Self { bits, rows: columns, blocks, codes, scales, zeros } = self;
        let (codes, scales, zeros) = (codes.at(0), scales.at(0), zeros.at(0));
        let (columns, blocks) = (*columns, *blocks);
        // SAFETY: the tensors have the dims that `of` has checked, and live as long as the call that it is made for.
        unsafe {
            if *bits == 4 {
                Codes::<4> { codes, scales, zeros, columns, blocks }.read_column(row, out);
            } else {
                Codes::<8> { codes, scales, zeros, columns, blocks }.read_column(row, out);
            }
        }
    }
}
