use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::blocks::{Blocks, check_block_shape};
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

/// X̂ [K, …, d], Y [..., d], G [K] or [..., K] → X: xⁱ = x̂ⁱ + G[i]·(y − x̂^active).
pub struct Correct<T> {
    active: usize,
    _storage: PhantomData<T>,
}

/// X̂, Y and G, checked against each other.
struct CorrectInputs<'a> {
    pub x: Tensor<'a>,
    pub y: Tensor<'a>,
    pub g: Tensor<'a>,
    pub blocks: Blocks,
    pub coefs: Coefficients,
}

impl<'a> CorrectInputs<'a> {
    pub fn read(context: &'a Compute, active: usize) -> Result<Self> {
        let (x, y, g) = (context.input(0)?, context.input(1)?, context.input(2)?);
        let blocks = Blocks::of(context, "predicted", &x)?;
        blocks.check_block(context, "active", active)?;
        check_block_shape(context, ("predicted", &x), ("computed", &y))?;
        let own = [blocks.count as i64];
        let coefs = Coefficients::of(context, ("correction_coefs", &g), ("predicted", &x), &own)?;
        Ok(Self { x, y, g, blocks, coefs })
    }
}

impl<T: Storage> Kernel for Correct<T> {
    const NAME: &'static CStr = c"Correct";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 3;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 1;

    fn infer(shapes: &Shapes) -> Result<()> {
        shapes.same(0, 0)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        Ok(Self { active: info.index(c"active")?, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let CorrectInputs { x, y, g, blocks, coefs } = CorrectInputs::read(context, self.active)?;
        let count = blocks.count;
        let mut rows = Rows::new();
        rows.read_blocks(x.data(), &blocks)
            .read(y.data())
            .write_blocks(context.output::<T>(0, x.dims)?, &blocks);
        // SAFETY: the tensors have the shapes just checked; ONNX Runtime gives X its own memory or that of X̂.
        unsafe {
            let g = Place::of(g.data::<T>());
            let matrix =
                |token| Matrix::correct(count, self.active, |i| g.at(token * count + i).read().to_f32());
            match coefs {
                Coefficients::Constant => mix_constant(context, &matrix(0), &rows, blocks.length())?,
                Coefficients::PerToken => mix_per_token(context, &rows, &blocks, matrix)?,
            }
        }
        Ok(())
    }
}

impl<T: Storage> DeviceKernel for Correct<T> {
    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let CorrectInputs { x, y, g, blocks, coefs } = CorrectInputs::read(context, self.active)?;
        let call = programs.call(context, blocks.count, ("predicted", x))?;
        let mut mix = mix_of(&x, &blocks, context.output(0, x.dims)?);
        (mix.y, mix.gains, mix.active) = (y.data(), g.data(), self.active as i32);
        mix.gains_step = coefs.step(blocks.count) as i64;
        // SAFETY: `CorrectInputs::read` has checked Y, G and `active` against X̂, and the output has its dims.
        unsafe { queue_mix(&call, "correct", &blocks, mix, coefs == Coefficients::PerToken) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::tests::{Attribute, Case, SHAPES, Type, by_token, coefficient_dims, set, types};
    use crate::kernels::reference;

    #[test]
    fn correct() {
        for Type { check, tensor, .. } in types() {
            for dims in SHAPES {
                let (own, active) = ([dims[0]], dims[0] / 2);
                for (in_place, g_dims) in coefficient_dims(dims, &own).iter().enumerate() {
                    let (x, y) = (tensor("predicted", dims, 4), tensor("computed", &dims[1..], 5));
                    let g = tensor("correction_coefs", g_dims, 6);
                    let expected = vec![by_token(&x.values, dims, |token, blocks| {
                        let width = blocks[0].len();
                        let y = &y.values[token * width..][..width];
                        reference::correct(&blocks, y, set(&g, &own, token), active as usize)
                    })];
                    let case = Case {
                        op: "Correct",
                        attributes: vec![("active", Attribute::Int(active))],
                        inputs: vec![x, y, g],
                        outputs: vec![("corrected", dims.to_vec())],
                        in_place,
                    };
                    check(&case, &expected);
                }
            }
        }
    }
}
