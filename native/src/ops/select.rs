use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::blocks::Blocks;
use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::shapes::Shapes;
use super::storage::Storage;
use crate::cuda::moves::{Move, queue_move};
use crate::cuda::{Device, DeviceKernel, Programs};
use crate::ort::Result;

/// X [K, …, d] → block `active` [..., d].
pub struct Select<T> {
    active: usize,
    _storage: PhantomData<T>,
}

impl<T> Select<T> {
    /// X, checked to have block `active`.
    fn inputs<'a>(&self, context: &'a Compute) -> Result<(Tensor<'a>, Blocks)> {
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

impl<T: Storage> DeviceKernel for Select<T> {
    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let (x, blocks) = self.inputs(context)?;
        let call = programs.call(context, blocks.count, ("blocks", x))?;
        let block = x.data::<T>().wrapping_add(self.active * blocks.length());
        let rows = Move {
            from: block.cast_const().cast(),
            to: context.output(0, &x.dims[1..])?,
            width: blocks.length() as i64,
            rows: 1,
            ..Move::default()
        };
        // SAFETY: `inputs` has checked that X has block `active`, and the output is one block.
        unsafe { queue_move(&call, 1, rows) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::tests::{Attribute, Case, SHAPES, Type, blocks_of, types};

    #[test]
    fn select() {
        for Type { check, tensor, .. } in types() {
            for dims in SHAPES {
                for active in [0, dims[0] - 1] {
                    let x = tensor("blocks", dims, 1);
                    let expected = vec![blocks_of(&x.values, dims[0] as usize).swap_remove(active as usize)];
                    let case = Case {
                        op: "Select",
                        attributes: vec![("active", Attribute::Int(active))],
                        inputs: vec![x],
                        outputs: vec![("block", dims[1..].to_vec())],
                        in_place: 0,
                    };
                    check(&case, &expected);
                }
            }
        }
    }
}
