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
use crate::cuda::mix::{mix_of, queue_mix};
use crate::cuda::{Device, DeviceKernel, Programs};
use crate::kernels::Matrix;
use crate::ort::Result;

/// X [K, …, d], P [K, K] or [..., K, K] → X̂: x̂ⁱ = Σⱼ P[i,j]·xʲ.
pub struct Predict<T>(PhantomData<T>);

/// X and P, checked against each other.
struct PredictInputs<'a> {
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

impl<T: Storage> DeviceKernel for Predict<T> {
    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let PredictInputs { x, p, blocks, coefs } = PredictInputs::read(context)?;
        let call = programs.call(context, blocks.count, ("blocks", x))?;
        let mut mix = mix_of(&x, &blocks, context.output(0, x.dims)?);
        mix.weights = p.data();
        mix.weights_step = coefs.step(blocks.count * blocks.count) as i64;
        // SAFETY: `PredictInputs::read` has checked P against X, and the output has the dims of X.
        unsafe { queue_mix(&call, "predict", &blocks, mix, coefs == Coefficients::PerToken) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::tests::{Case, SHAPES, Type, by_token, coefficient_dims, set, types};
    use crate::kernels::reference;

    #[test]
    fn predict() {
        for Type { check, tensor, .. } in types() {
            for dims in SHAPES {
                let own = [dims[0]; 2];
                for (in_place, p_dims) in coefficient_dims(dims, &own).iter().enumerate() {
                    let (x, p) = (tensor("blocks", dims, 2), tensor("prediction_coefs", p_dims, 3));
                    let expected = vec![by_token(&x.values, dims, |token, blocks| {
                        reference::predict(&blocks, set(&p, &own, token))
                    })];
                    let case = Case {
                        op: "Predict",
                        attributes: vec![],
                        inputs: vec![x, p],
                        outputs: vec![("predicted", dims.to_vec())],
                        in_place,
                    };
                    check(&case, &expected);
                }
            }
        }
    }
}
