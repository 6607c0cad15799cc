use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::blocks::{Blocks, check_block_shape};
use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::mixing::{Coefficients, constant, mix_constant, mix_per_token};
use super::rows::Rows;
use super::shapes::Shapes;
use super::storage::Storage;
use super::tokens::Place;
use crate::cuda::mix::{mix_of, queue_mix};
use crate::cuda::{Device, DeviceKernel, Programs};
use crate::kernels::Matrix;
use crate::kernels::matrix::Reads;
use crate::ort::Result;

/// X̂ [K, …, d], Y [..., d], G, P' → X̂' [K, …, d], S [..., d]: Correct of this layer, Predict of the next layer and
/// the block that the next layer reads, in one pass.
pub struct CorrectPredict<T> {
    active: usize,
    next: usize,
    reads: Reads,
    /// [X̂'; S] over [X̂; Y], made once if G and P' are constant.
    matrix: Option<Matrix>,
    _storage: PhantomData<T>,
}

/// G and P', shared by all tokens or one set per token, checked against X̂.
struct Sets<'a> {
    pub g: Tensor<'a>,
    pub p: Tensor<'a>,
    pub of_g: Coefficients,
    pub of_p: Coefficients,
}

impl<'a> Sets<'a> {
    pub fn read(context: &'a Compute, x: &Tensor, blocks: &Blocks) -> Result<Self> {
        let (g, p, k) = (context.input(2)?, context.input(3)?, blocks.count as i64);
        let of_g = Coefficients::of(context, ("correction_coefs", &g), ("predicted", x), &[k])?;
        let of_p = Coefficients::of(context, ("next_prediction_coefs", &p), ("predicted", x), &[k, k])?;
        Ok(Self { g, p, of_g, of_p })
    }
}

impl<T: Storage> CorrectPredict<T> {
    /// X̂ and Y, checked against each other.
    fn inputs<'a>(&self, context: &'a Compute) -> Result<(Tensor<'a>, Tensor<'a>, Blocks)> {
        let (x, y) = (context.input(0)?, context.input(1)?);
        let blocks = Blocks::of(context, "predicted", &x)?;
        blocks.check_block(context, "active", self.active)?;
        blocks.check_block(context, "next", self.next)?;
        check_block_shape(context, ("predicted", &x), ("computed", &y))?;
        Ok((x, y, blocks))
    }

    fn matrix(&self, count: usize, g: impl Fn(usize) -> f32, p: impl Fn(usize) -> f32) -> Matrix {
        Matrix::correct_predict(&Matrix::correct(count, self.active, g), self.next, self.reads, p)
    }

    /// # Safety
    /// Rows fit `blocks`.
    unsafe fn mix(&self, context: &Compute, x: &Tensor, blocks: &Blocks, rows: &Rows<T>) -> Result<()> {
        let count = blocks.count;
        if let Some(matrix) = self.matrix.as_ref().filter(|matrix| matrix.rows() == count + 1) {
            // SAFETY: the caller's rows hold `blocks.length()` elements each.
            return unsafe { mix_constant(context, matrix, rows, blocks.length()) };
        }
        let Sets { g, p, of_g, of_p } = Sets::read(context, x, blocks)?;
        let (g_step, g) = (of_g.step(count), Place::of(g.data::<T>()));
        let (p_step, p) = (of_p.step(count * count), Place::of(p.data::<T>()));
        // SAFETY: `Sets::read` found one G and P' for all tokens or one per token, so each index lies in its tensor.
        let matrix = |token| unsafe {
            let g = |i| g.at(token * g_step + i).read().to_f32();
            self.matrix(count, g, |i| p.at(token * p_step + i).read().to_f32())
        };
        if of_g == Coefficients::Constant && of_p == Coefficients::Constant {
            // SAFETY: as above.
            return unsafe { mix_constant(context, &matrix(0), rows, blocks.length()) };
        }
        // SAFETY: as above; tokens lie one after the other in the rows.
        unsafe { mix_per_token(context, rows, blocks, matrix) }
    }
}

impl<T: Storage> Kernel for CorrectPredict<T> {
    const NAME: &'static CStr = c"CorrectPredict";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 4;
    const OUTPUTS: usize = 2;
    const IN_PLACE: usize = 2;

    fn infer(shapes: &Shapes) -> Result<()> {
        shapes.same(0, 0)?;
        shapes.same(1, 1)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        let reads = match info.text(c"reads")?.as_str() {
            "corrected" => Reads::Corrected,
            "predicted" => Reads::Predicted,
            other => {
                return Err(
                    info.error(format_args!("attribute reads is {other:?}, not corrected or predicted"))
                );
            }
        };
        let (active, next) = (info.index(c"active")?, info.index(c"next")?);
        let mut kernel = Self { active, next, reads, matrix: None, _storage: PhantomData };
        if let (Some(g), Some(p)) = (constant::<T>(info, 2, 1)?, constant::<T>(info, 3, 2)?)
            && p.len() == g.len() * g.len()
            && active.max(next) < g.len()
        {
            kernel.matrix = Some(kernel.matrix(g.len(), |i| g[i], |i| p[i]));
        }
        Ok(kernel)
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let (x, y, blocks) = self.inputs(context)?;
        let mut rows = Rows::new();
        rows.read_blocks(x.data(), &blocks)
            .read(y.data())
            .write_blocks(context.output::<T>(0, x.dims)?, &blocks)
            .write(context.output::<T>(1, y.dims)?);
        // SAFETY: X̂ and Y have the shapes just checked; ONNX Runtime gives X̂' and S their own memory or that of
        // X̂ and Y.
        unsafe { self.mix(context, &x, &blocks, &rows) }
    }
}

impl<T: Storage> DeviceKernel for CorrectPredict<T> {
    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let (x, y, blocks) = self.inputs(context)?;
        let Sets { g, p, of_g, of_p } = Sets::read(context, &x, &blocks)?;
        let call = programs.call(context, blocks.count, ("predicted", x))?;
        let mut mix = mix_of(&x, &blocks, context.output(0, x.dims)?);
        mix.read = context.output(1, y.dims)?;
        (mix.y, mix.gains, mix.weights) = (y.data(), g.data(), p.data());
        (mix.active, mix.next) = (self.active as i32, self.next as i32);
        mix.reads_predicted = i32::from(self.reads == Reads::Predicted);
        mix.gains_step = of_g.step(blocks.count) as i64;
        mix.weights_step = of_p.step(blocks.count * blocks.count) as i64;
        let is_per_token = of_g == Coefficients::PerToken || of_p == Coefficients::PerToken;
        // SAFETY: `inputs` and `Sets::read` have checked Y, G, P, `active` and `next` against X̂. The outputs have the
        // dims of X̂ and Y.
        unsafe { queue_mix(&call, "correct_predict", &blocks, mix, is_per_token) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::tests::{Attribute, Case, SHAPES, Type, by_token, coefficient_dims, set, types};
    use crate::kernels::matrix::Reads;
    use crate::kernels::reference;

    /// G and P' shared or per token; both values of `reads`; in place and with separate outputs.
    #[test]
    fn correct_predict() {
        for Type { check, tensor, .. } in types() {
            for (shape, dims) in SHAPES.iter().enumerate() {
                let (k, own_g, own_p) = (dims[0], [dims[0]], [dims[0]; 2]);
                for way in 0..4 {
                    let (active, next) = ((shape as i64 + way) % k, (2 * way + 1) % k);
                    let reads = if way % 2 == 0 { Reads::Corrected } else { Reads::Predicted };
                    let (x, y) = (tensor("predicted", dims, 7), tensor("computed", &dims[1..], 8));
                    let g = tensor("correction_coefs", &coefficient_dims(dims, &own_g)[way as usize / 2], 9);
                    let p = tensor(
                        "next_prediction_coefs",
                        &coefficient_dims(dims, &own_p)[way as usize % 2],
                        10,
                    );
                    let both = by_token(&x.values, dims, |token, blocks| {
                        let width = blocks[0].len();
                        let y = &y.values[token * width..][..width];
                        let (g, p) = (set(&g, &own_g, token), set(&p, &own_p, token));
                        let (mut predicted, read) = reference::correct_predict(
                            &blocks,
                            y,
                            g,
                            p,
                            active as usize,
                            next as usize,
                            reads,
                        );
                        predicted.push(read);
                        predicted
                    });
                    let expected = vec![both[..x.values.len()].to_vec(), both[x.values.len()..].to_vec()];
                    let case = Case {
                        op: "CorrectPredict",
                        attributes: vec![
                            ("active", Attribute::Int(active)),
                            ("next", Attribute::Int(next)),
                            ("reads", Attribute::Text(["corrected", "predicted"][way as usize % 2])),
                        ],
                        inputs: vec![x, y, g, p],
                        outputs: vec![("next_predicted", dims.to_vec()), ("next_read", dims[1..].to_vec())],
                        in_place: 2 * (way as usize / 2),
                    };
                    check(&case, &expected);
                }
            }
        }
    }
}
