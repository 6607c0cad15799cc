use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::blocks::Blocks;
use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::mixing::{Coefficients, mix_constant, mix_per_token};
use super::rows::Rows;
use super::shapes::Shapes;
use super::storage::Storage;
use super::tokens::Place;
use crate::kernels::Matrix;
use crate::ort::Result;

/// X [K, …, d], P [K, K] or [..., K, K] → X̂: x̂ⁱ = Σⱼ P[i,j]·xʲ.
pub struct Predict<T>(PhantomData<T>);

/// X and P, checked against each other.
pub(crate) struct PredictInputs<'a> {
    pub x: Tensor<'a>,
    pub p: Tensor<'a>,
    pub blocks: Blocks,
    pub coefs: Coefficients,
}

impl<'a> PredictInputs<'a> {
    pub fn read(context: &'a Compute) -> Result<Self> {
        let (x, p) = (context.input(0)?, context.input(1)?);
        let blocks = Blocks::of(context, "blocks", &x)?;
        let own = [blocks.count as i64; 2];
        let coefs = Coefficients::of(context, ("prediction_coefs", &p), ("blocks", &x), &own)?;
        Ok(Self { x, p, blocks, coefs })
    }
}

impl<T: Storage> Kernel for Predict<T> {
    const NAME: &'static CStr = c"Predict";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 2;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 1;

    fn infer(shapes: &Shapes) -> Result<()> {
        shapes.same(0, 0)
    }

    fn create(_: &KernelInfo) -> Result<Self> {
        Ok(Self(PhantomData))
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let PredictInputs { x, p, blocks, coefs } = PredictInputs::read(context)?;
        let count = blocks.count;
        let mut rows = Rows::new();
        rows.read_blocks(x.data(), &blocks).write_blocks(context.output::<T>(0, x.dims)?, &blocks);
        // SAFETY: the tensors have the shapes just checked; ONNX Runtime gives X̂ its own memory or that of X.
        unsafe {
            let p = Place::of(p.data::<T>());
            let matrix = |token| Matrix::predict(count, |i| p.at(token * count * count + i).read().to_f32());
            match coefs {
                Coefficients::Constant => mix_constant(context, &matrix(0), &rows, blocks.length())?,
                Coefficients::PerToken => mix_per_token(context, &rows, &blocks, matrix)?,
            }
        }
        Ok(())
    }
}
