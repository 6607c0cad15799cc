//! Predict, Correct and CorrectPredict on a device. Coefficients stay in device memory, both weights and a router's
//! coefficients per token: nothing is copied to the host, and no run waits for a copy.

use std::ffi::c_void;
use std::ptr;

use super::arguments::Mix;
use super::device::{Device, Function};
use super::element::Element;
use super::launch::{Call, Spread};
use super::on_device::{DeviceKernel, Programs};
use crate::kernels::matrix::Reads;
use crate::ops::blocks::Blocks;
use crate::ops::correct::{Correct, CorrectInputs};
use crate::ops::correct_predict::{CorrectPredict, Sets};
use crate::ops::mixing::Coefficients;
use crate::ops::predict::{Predict, PredictInputs};
use crate::ops::{Compute, Storage, Tensor};
use crate::ort::Result;

/// Arguments with X as the only input and one set of coefficients for all tokens.
pub fn mix_of(x: &Tensor, blocks: &Blocks, mixed: *mut c_void) -> Mix {
    Mix {
        x: x.data(),
        y: ptr::null(),
        gains: ptr::null(),
        weights: ptr::null(),
        mixed,
        read: ptr::null_mut(),
        block: blocks.length() as i64,
        width: blocks.length() as i64,
        gains_step: 0,
        weights_step: 0,
        active: 0,
        next: 0,
        reads_predicted: 0,
        chunks: 0,
    }
}

/// Queues a mix. A row is a whole block, or one token if tokens have their own coefficients.
///
/// # Safety
/// The addresses in `mix` are valid for tensors with the shape in `blocks`.
pub unsafe fn queue_mix<D: Device>(
    call: &Call<D>,
    function: Function,
    blocks: &Blocks,
    mut mix: Mix,
    is_per_token: bool,
) -> Result<()> {
    let (rows, width) = if is_per_token { (blocks.tokens, blocks.width) } else { (1, blocks.length()) };
    let addresses = [mix.x, mix.y, mix.mixed.cast_const(), mix.read.cast_const()];
    let spread = Spread::new(call.variant, call.variant.lanes(), width, &[blocks.length()], &addresses);
    mix.width = width as i64;
    mix.chunks = spread.chunks;
    // SAFETY: the caller promises the addresses; `rows` × `width` is one block, and `spread` has checked alignment.
    // Outputs may overwrite inputs, because a thread reads all that it needs before it writes.
    unsafe { call.spread(function, rows, spread, &mix) }
}

impl<T: Storage> DeviceKernel for Predict<T> {
    const ELEMENT: Element = Element::of::<T>();

    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let PredictInputs { x, p, blocks, coefs } = PredictInputs::read(context)?;
        let call = programs.call(context, blocks.count, ("blocks", x))?;
        let mut mix = mix_of(&x, &blocks, context.output(0, x.dims)?);
        mix.weights = p.data();
        mix.weights_step = coefs.step(blocks.count * blocks.count) as i64;
        // SAFETY: `PredictInputs::read` has checked P against X, and the output has the dims of X.
        unsafe { queue_mix(&call, Function::Predict, &blocks, mix, coefs == Coefficients::PerToken) }
    }
}

impl<T: Storage> DeviceKernel for Correct<T> {
    const ELEMENT: Element = Element::of::<T>();

    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let CorrectInputs { x, y, g, blocks, coefs } = CorrectInputs::read(context, self.active)?;
        let call = programs.call(context, blocks.count, ("predicted", x))?;
        let mut mix = mix_of(&x, &blocks, context.output(0, x.dims)?);
        (mix.y, mix.gains, mix.active) = (y.data(), g.data(), self.active as i32);
        mix.gains_step = coefs.step(blocks.count) as i64;
        // SAFETY: `CorrectInputs::read` has checked Y, G and `active` against X̂, and the output has its dims.
        unsafe { queue_mix(&call, Function::Correct, &blocks, mix, coefs == Coefficients::PerToken) }
    }
}

impl<T: Storage> DeviceKernel for CorrectPredict<T> {
    const ELEMENT: Element = Element::of::<T>();

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
        unsafe { queue_mix(&call, Function::CorrectPredict, &blocks, mix, is_per_token) }
    }
}
