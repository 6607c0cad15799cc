use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType::{
    self, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
};

use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::shapes::{Dimension, Shapes};
use super::storage::Storage;
use crate::kernels::dots::DotSet;
use crate::kernels::quantized_product::{BLOCK, Codes, multiply};
use crate::ort::Result;

/// x [..., K], codes uint8 [N, K / 32, 4 · bits], scales float32 [N, K / 32], zero_points uint8 [N, ⌈K / 32 · bits / 8⌉]
/// → x · Wᵀ [..., N] for W = scale · (code − zero point), with x rounded to 8 bits by block. Only for the CPU: everywhere
/// else, ONNX Runtime's `MatMulNBits` in the function body stays on the device.
pub struct QuantizedMatMul<T> {
    columns: usize,
    width: usize,
    bits: usize,
    _storage: PhantomData<T>,
}

const CODES: usize = 1;
const SCALES: usize = 2;
const ZEROS: usize = 3;

impl<T: Storage> Kernel for QuantizedMatMul<T> {
    const NAME: &'static CStr = c"QuantizedMatMul";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 4;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 0;

    fn input_type(input: usize) -> ONNXTensorElementDataType {
        match input {
            CODES | ZEROS => ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
            SCALES => ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            _ => T::TYPE,
        }
    }

    /// Where it has no dot product instruction, `MatMulNBits` is faster or was not compared.
    fn is_fast() -> bool {
        DotSet::fastest().has_dot_instruction()
    }

    fn infer(shapes: &Shapes) -> Result<()> {
        let (Some(mut shape), Some(columns)) = (shapes.input(0), shapes.int(c"N")) else { return Ok(()) };
        if let Some(last) = shape.last_mut() {
            *last = Dimension::Size(columns);
        }
        shapes.set(0, &shape)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        let [columns, width, bits] = [info.index(c"N")?, info.index(c"K")?, info.index(c"bits")?];
        if columns == 0 || width == 0 || !width.is_multiple_of(BLOCK) {
            return Err(info.error(format_args!(
                "attributes N and K are {columns} and {width}, not at least 1 and a multiple of {BLOCK}"
            )));
        }
        if bits != 4 && bits != 8 {
            return Err(info.error(format_args!("attribute bits is {bits}, not 4 or 8")));
        }
        Ok(Self { columns, width, bits, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let x = context.input(0)?;
        let Some((&width, tokens)) = x.dims.split_last().filter(|(width, _)| **width == self.width as i64)
        else {
            return Err(context.error(format_args!("x {:?} is not [..., {}]", x.dims, self.width)));
        };
        let rows = tokens.iter().product::<i64>() as usize;
        let blocks = width as usize / BLOCK;
        let (codes, scales, zeros) = (context.input(CODES)?, context.input(SCALES)?, context.input(ZEROS)?);
        self.check(context, ("codes", &codes), &[self.columns, blocks, BLOCK * self.bits / 8])?;
        self.check(context, ("scales", &scales), &[self.columns, blocks])?;
        self.check(context, ("zero_points", &zeros), &[self.columns, (blocks * self.bits).div_ceil(8)])?;
        let dims: Vec<i64> = tokens.iter().copied().chain([self.columns as i64]).collect();
        let out = context.output::<T>(0, &dims)?;
        let parts = (codes.data(), scales.data(), zeros.data());
        if self.bits == 4 {
            self.multiply::<4>(context, parts, (x.data(), rows), out)
        } else {
            self.multiply::<8>(context, parts, (x.data(), rows), out)
        }
    }
}

impl<T: Storage> QuantizedMatMul<T> {
    fn multiply<const BITS: usize>(
        &self,
        context: &Compute,
        (codes, scales, zeros): (*mut u8, *mut f32, *mut u8),
        (x, rows): (*mut T, usize),
        out: *mut T,
    ) -> Result<()> {
        let (columns, blocks) = (self.columns, self.width / BLOCK);
        let codes = Codes::<BITS> { codes, scales, zeros, columns, blocks };
        let parallel = |count: usize, task: &(dyn Fn(usize) + Sync)| context.parallel(count, &|i| task(i));
        // SAFETY: the tensors have the shapes just checked, `out` is memory of its own, and N and K are above zero.
        unsafe { multiply(DotSet::fastest(), &codes, (x.cast_const(), rows), out, &parallel) }
    }

    /// Refuses a tensor with other dims than `wanted`.
    fn check(&self, context: &Compute, (name, tensor): (&str, &Tensor), wanted: &[usize]) -> Result<()> {
        if tensor.dims.iter().copied().eq(wanted.iter().map(|dim| *dim as i64)) {
            return Ok(());
        }
        let (columns, width, dims) = (self.columns, self.width, tensor.dims);
        Err(context
            .error(format_args!("{name} {dims:?} does not fit N {columns}, K {width}: {wanted:?} wanted")))
    }
}
