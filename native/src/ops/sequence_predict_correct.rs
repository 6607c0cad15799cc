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
use crate::kernels::{Matrix, Mixer};
use crate::ort::Result;

/// x [..., T, d], ỹ [..., ⌈T/k⌉, d], (a₁, a₂, b) [3] → y [..., T, d]: yᵢ = ŷᵢ + b(ỹᵢ* − ŷᵢ*), ŷᵢ = a₁xᵢ + a₂xᵢ*,
/// i* = ⌊i/k⌋·k.
pub struct SequencePredictCorrect<T> {
    stride: usize,
    _storage: PhantomData<T>,
}

/// x, ỹ and the coefficients, checked against each other.
struct SequenceInputs<'a> {
    pub x: Tensor<'a>,
    pub computed: Tensor<'a>,
    pub coefs: Tensor<'a>,
    pub sequences: usize,
    pub tokens: usize,
    pub width: usize,
}

impl<T: Storage> SequencePredictCorrect<T> {
    fn inputs<'a>(&self, context: &'a Compute) -> Result<SequenceInputs<'a>> {
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

/// The kernel's argument, as kernels.cu declares it.
#[repr(C)]
struct Sequence {
    x: *const c_void,
    computed: *const c_void,
    coefs: *const c_void,
    y: *mut c_void,
    width: i64,
    tokens: i64,
    kept: i64,
    stride: i64,
    chunks: u32,
}

impl<T: Storage> DeviceKernel for SequencePredictCorrect<T> {
    /// One thread reads the token that others depend on before it writes any of them.
    const DEVICE_IN_PLACE: usize = 1;

    fn blocks(&self, _: &KernelInfo) -> Result<Option<usize>> {
        Ok(Some(NO_BLOCKS))
    }

    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let SequenceInputs { x, computed, coefs, sequences, tokens, width } = self.inputs(context)?;
        let call = programs.call(context, NO_BLOCKS, ("x", x))?;
        let kept = tokens.div_ceil(self.stride);
        let y: *mut c_void = context.output(0, x.dims)?;
        let addresses = [x.data(), computed.data(), y].map(|address: *mut c_void| address.cast_const());
        let spread = Spread::new(call.variant, call.variant.wide(), width, &[], &addresses);
        let arguments = Sequence {
            x: x.data(),
            computed: computed.data(),
            coefs: coefs.data(),
            y,
            width: width as i64,
            tokens: tokens as i64,
            kept: kept as i64,
            stride: self.stride as i64,
            chunks: spread.chunks,
        };
        // SAFETY: `inputs` has checked `computed` and the three coefficients against x. y has the dims of x, and a
        // thread writes only places that no other thread reads.
        unsafe { call.spread("sequence_predict_correct", sequences * kept, spread, &arguments) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::tests::{Attribute, Case, Type, types};

    /// Strides that divide the number of tokens, do not divide it, and exceed it; in place and with a separate output.
    #[test]
    fn sequence_predict_correct() {
        for Type { check, tensor, .. } in types() {
            for dims in [&[2, 9, 40_i64] as &[i64], &[3, 33], &[2, 2, 4, 520], &[1, 0, 8], &[1, 1, 16]] {
                for (in_place, stride) in [(0, 1), (1, 2), (0, 3), (1, 4), (1, 16)] {
                    let [lead @ .., tokens, width] = dims else { unreachable!() };
                    let kept = (tokens + stride - 1) / stride;
                    let (x, coefs) = (tensor("x", dims, 15), tensor("sequence_coefs", &[3], 17));
                    let computed = tensor("computed", &[lead, &[kept, *width]].concat(), 16);
                    let [a1, a2, b] = coefs.values[..] else { unreachable!() };
                    let (tokens, width) = (*tokens as usize, *width as usize);
                    let expected = (0..x.values.len())
                        .map(|i| {
                            let (row, element) = (i / width, i % width);
                            let (sequence, token) = (row / tokens, row % tokens);
                            let group = token / stride as usize;
                            let anchor =
                                x.values[(sequence * tokens + group * stride as usize) * width + element];
                            let computed =
                                computed.values[(sequence * kept as usize + group) * width + element];
                            a1 * x.values[i] + a2 * anchor + b * (computed - (a1 * anchor + a2 * anchor))
                        })
                        .collect();
                    let case = Case {
                        op: "SequencePredictCorrect",
                        attributes: vec![("stride", Attribute::Int(stride))],
                        inputs: vec![x, computed, coefs],
                        outputs: vec![("y", dims.to_vec())],
                        in_place,
                    };
                    check(&case, &[expected]);
                }
            }
        }
    }
}
