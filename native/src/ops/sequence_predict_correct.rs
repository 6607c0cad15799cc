use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::shapes::Shapes;
use super::storage::Storage;
use super::tokens::{Place, for_each_token};
use crate::kernels::{Matrix, Mixer};
use crate::ort::Result;

/// x [..., T, d], ỹ [..., ⌈T/k⌉, d], (a₁, a₂, b) [3] → y [..., T, d]: yᵢ = ŷᵢ + b(ỹᵢ* − ŷᵢ*), ŷᵢ = a₁xᵢ + a₂xᵢ*,
/// i* = ⌊i/k⌋·k.
pub struct SequencePredictCorrect<T> {
    pub(crate) stride: usize,
    _storage: PhantomData<T>,
}

/// x, ỹ and the coefficients, checked against each other.
pub(crate) struct SequenceInputs<'a> {
    pub x: Tensor<'a>,
    pub computed: Tensor<'a>,
    pub coefs: Tensor<'a>,
    pub sequences: usize,
    pub tokens: usize,
    pub width: usize,
}

impl<T: Storage> SequencePredictCorrect<T> {
    pub(crate) fn inputs<'a>(&self, context: &'a Compute) -> Result<SequenceInputs<'a>> {
        let (x, computed, coefs) = (context.input(0)?, context.input(1)?, context.input(2)?);
        let [lead @ .., tokens, width] = x.dims else {
            return Err(context.error(format_args!("x {:?} is not [..., T, d]", x.dims)));
        };
        let kept = (*tokens as usize).div_ceil(self.stride);
        let fits =
            matches!(computed.dims, [own @ .., of, d] if own == lead && *of == kept as i64 && d == width);
        if !fits {
            return Err(context.error(format_args!(
                "computed {:?} is not x {:?} with every token of stride {}: {kept} of them wanted",
                computed.dims, x.dims, self.stride
            )));
        }
        if coefs.dims != [3] {
            return Err(context.error(format_args!(
                "sequence_coefs {:?} does not fit x {:?}: [3] wanted",
                coefs.dims, x.dims
            )));
        }
        let sequences = lead.iter().product::<i64>() as usize;
        Ok(SequenceInputs { x, computed, coefs, sequences, tokens: *tokens as usize, width: *width as usize })
    }
}

/// The matrix of y over [xᵢ; ỹᵢ*; xᵢ*]. Since ŷᵢ* = (a₁ + a₂)xᵢ*, yᵢ = a₁xᵢ + b·ỹᵢ* + (a₂ − b(a₁ + a₂))xᵢ*.
fn matrix([a1, a2, b]: [f32; 3]) -> Matrix {
    Matrix::row_of(&[a1, b, a2 - b * (a1 + a2)])
}

impl<T: Storage> Kernel for SequencePredictCorrect<T> {
    const NAME: &'static CStr = c"SequencePredictCorrect";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 3;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 0;

    fn infer(shapes: &Shapes) -> Result<()> {
        shapes.same(0, 0)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        let stride = info.index(c"stride")?;
        if stride == 0 {
            return Err(info.error(format_args!("attribute stride is 0, not 1 or more")));
        }
        Ok(Self { stride, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let SequenceInputs { x, computed, coefs, sequences, tokens, width } = self.inputs(context)?;
        let out = Place::of(context.output::<T>(0, x.dims)?);
        let (x, computed) = (Place::of(x.data::<T>()), Place::of(computed.data::<T>()));
        // SAFETY: `coefs` has three elements.
        let coefs = [0, 1, 2].map(|i| unsafe { coefs.data::<T>().add(i).read() }.to_f32());
        let (matrix, mixer) = (matrix(coefs), Mixer::<T>::new(1, 3));
        let kept = tokens.div_ceil(self.stride);
        for_each_token(context, sequences * tokens, width, &|token| {
            let (sequence, place) = (token / tokens, token % tokens);
            let group = place / self.stride;
            let anchor = sequence * tokens + group * self.stride;
            let ins = [token * width, (sequence * kept + group) * width, anchor * width];
            let ins: [*const T; 3] = [x.at(ins[0]), computed.at(ins[1]), x.at(ins[2])];
            // SAFETY: the tensors have the shapes just checked, and the output shares no memory with them.
            unsafe { mixer.run(&matrix, &ins, &[out.at(token * width)], width) };
        })
    }
}
