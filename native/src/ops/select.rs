use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::blocks::Blocks;
use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::shapes::Shapes;
use super::storage::Storage;
use crate::ort::Result;

/// X [K, …, d] → block `active` [..., d].
pub struct Select<T> {
    pub(crate) active: usize,
    _storage: PhantomData<T>,
}

impl<T> Select<T> {
    /// X, checked to have block `active`.
    pub(crate) fn inputs<'a>(&self, context: &'a Compute) -> Result<(Tensor<'a>, Blocks)> {
        let x = context.input(0)?;
        let blocks = Blocks::of(context, "blocks", &x)?;
        blocks.check_block(context, "active", self.active)?;
        Ok((x, blocks))
    }
}

impl<T: Storage> Kernel for Select<T> {
    const NAME: &'static CStr = c"Select";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 1;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 0;

    fn infer(shapes: &Shapes) -> Result<()> {
        shapes.input(0).map_or(Ok(()), |shape| shapes.set(0, &shape[1..]))
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        Ok(Self { active: info.index(c"active")?, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let (x, blocks) = self.inputs(context)?;
        let block = context.output::<T>(0, &x.dims[1..])?;
        // SAFETY: X holds K blocks of this length; the output holds one and never shares memory with X.
        unsafe {
            x.data::<T>().add(self.active * blocks.length()).copy_to_nonoverlapping(block, blocks.length());
        }
        Ok(())
    }
}
