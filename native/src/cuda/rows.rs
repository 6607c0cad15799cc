//! GaussianTopK and SequencePredictCorrect on a device.

use std::ffi::c_void;

use super::arguments::{Gate, Sequence};
use super::device::{Device, Function};
use super::element::Element;
use super::launch::Spread;
use super::on_device::{DeviceKernel, Programs};
use crate::ops::gaussian_top_k::GaussianTopK;
use crate::ops::sequence_predict_correct::{SequenceInputs, SequencePredictCorrect};
use crate::ops::{Compute, KernelInfo, Storage};
use crate::ort::Result;

/// The number of blocks for operators without blocks.
const NO_BLOCKS: usize = 1;

impl<T: Storage> DeviceKernel for GaussianTopK<T> {
    const ELEMENT: Element = Element::of::<T>();

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
        unsafe { call.row_by_row(Function::GaussianTopK, tokens, spread.is_aligned, &arguments) }
    }
}

impl<T: Storage> DeviceKernel for SequencePredictCorrect<T> {
    const ELEMENT: Element = Element::of::<T>();
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
        unsafe { call.spread(Function::SequencePredictCorrect, sequences * kept, spread, &arguments) }
    }
}
