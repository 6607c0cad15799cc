use std::ffi::{CStr, c_void};
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::shapes::Shapes;
use super::storage::Storage;
use super::tokens::{Place, for_each_token};
use crate::cuda::{Device, DeviceKernel, NO_BLOCKS, Programs, Spread};
use crate::kernels::InstructionSet;
use crate::kernels::gaussian_top_k::gaussian_top_k;
use crate::ort::Result;

/// gate [..., n] → relu(gate − (mean + std_multiplier·std)), over the last axis.
pub struct GaussianTopK<T> {
    std_multiplier: f32,
    _storage: PhantomData<T>,
}

impl<T> GaussianTopK<T> {
    /// The gate, its tokens and its width.
    fn inputs<'a>(&self, context: &'a Compute) -> Result<(Tensor<'a>, usize, usize)> {
        let gate = context.input(0)?;
        let Some((&width, tokens)) = gate.dims.split_last() else {
            return Err(context.error(format_args!("gate has no dimension to take the mean over")));
        };
        Ok((gate, tokens.iter().product::<i64>() as usize, width as usize))
    }
}

impl<T: Storage> Kernel for GaussianTopK<T> {
    const NAME: &'static CStr = c"GaussianTopK";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 1;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 1;

    fn infer(shapes: &Shapes) -> Result<()> {
        shapes.same(0, 0)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        Ok(Self { std_multiplier: info.float(c"std_multiplier")?, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let (gate, tokens, width) = self.inputs(context)?;
        let (from, to) = (Place::of(gate.data::<T>()), Place::of(context.output::<T>(0, gate.dims)?));
        let set = InstructionSet::fastest();
        // SAFETY: both are [tokens, width]; ONNX Runtime gives the output its own memory or the gate's.
        for_each_token(context, tokens, width, &|token| unsafe {
            let row = token * width;
            gaussian_top_k(set, from.at(row), to.at(row), width, self.std_multiplier);
        })
    }
}

/// The kernel's argument, as kernels.cu declares it.
#[repr(C)]
struct Gate {
    gate: *const c_void,
    sparse: *mut c_void,
    width: i64,
    multiplier: f32,
}

impl<T: Storage> DeviceKernel for GaussianTopK<T> {
    fn blocks(&self, _: &KernelInfo) -> Result<Option<usize>> {
        Ok(Some(NO_BLOCKS))
    }

    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let (gate, tokens, width) = self.inputs(context)?;
        let call = programs.call(context, NO_BLOCKS, ("gate", gate))?;
        let arguments = Gate {
            gate: gate.data(),
            sparse: context.output(0, gate.dims)?,
            width: width as i64,
            multiplier: self.std_multiplier,
        };
        let addresses = [arguments.gate, arguments.sparse.cast_const()];
        let spread = Spread::new(call.variant, call.variant.wide(), width, &[], &addresses);
        // SAFETY: both are [tokens, width]. They may be the same memory: the threads of a row have summed it before one
        // of them writes, and each writes only what it has read itself.
        unsafe { call.row_by_row("gaussian_top_k", tokens, spread.is_aligned, &arguments) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::tests::{Attribute, Case, Type, types};
    use crate::kernels::reference;

    /// Rows that fill a thread block many times, once, and only in part.
    #[test]
    fn gaussian_top_k() {
        for Type { check, tensor, .. } in types() {
            for dims in [&[2, 3, 40_i64] as &[i64], &[1, 16400], &[3, 1037], &[0, 8], &[2, 1]] {
                for (in_place, multiplier) in [1.644_853_6_f32, -0.5].into_iter().enumerate() {
                    let gate = tensor("gate", dims, 14);
                    let width = *dims.last().unwrap() as usize;
                    let rows = gate.values.chunks(width);
                    let expected: Vec<f64> =
                        rows.flat_map(|row| reference::gaussian_top_k(row, f64::from(multiplier))).collect();
                    let case = Case {
                        op: "GaussianTopK",
                        attributes: vec![("std_multiplier", Attribute::Float(multiplier))],
                        inputs: vec![gate],
                        outputs: vec![("sparse", dims.to_vec())],
                        in_place,
                    };
                    check(&case, &[expected]);
                }
            }
        }
    }
}
