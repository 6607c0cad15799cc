use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::shapes::Shapes;
use super::storage::Storage;
use super::tokens::{Place, for_each_token};
use crate::kernels::InstructionSet;
use crate::kernels::gaussian_top_k::gaussian_top_k;
use crate::ort::Result;

/// gate [..., n] → relu(gate − (mean + std_multiplier·std)), over the last axis.
pub struct GaussianTopK<T> {
    pub(crate) std_multiplier: f32,
    _storage: PhantomData<T>,
}

impl<T> GaussianTopK<T> {
    /// The gate, its tokens and its width.
    pub(crate) fn inputs<'a>(&self, context: &'a Compute) -> Result<(Tensor<'a>, usize, usize)> {
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
