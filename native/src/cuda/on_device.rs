use std::ffi::CStr;
use std::sync::OnceLock;

use ort_sys::ONNXTensorElementDataType;

use super::device::{Device, Variant};
use super::element::Element;
use super::launch::Call;
use super::program::Source;
use crate::kernels::matrix::MAX_BLOCKS;
use crate::ops::{Compute, Kernel, KernelInfo, Shapes, Tensor};
use crate::ort::Result;

/// The number of blocks for operators without blocks.
pub const NO_BLOCKS: usize = 1;

/// An operator that has kernels in kernels.cu.
pub trait DeviceKernel: Kernel {
    /// [`Kernel::IN_PLACE`] for the device's kernels.
    const DEVICE_IN_PLACE: usize = Self::IN_PLACE;

    /// This node's number of blocks, if the graph states it.
    fn blocks(&self, info: &KernelInfo) -> Result<Option<usize>> {
        info.first_dim(0)
    }

    /// Checks shapes and queues the work.
    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()>;
}

/// The programs that hold a node's kernels.
pub struct Programs<D: Device> {
    element: Element,
    first: OnceLock<(Variant, &'static D::Program)>,
}

impl<D: Device> Programs<D> {
    /// A call of the node for tensors with `blocks` blocks.
    pub fn call<'a>(
        &self,
        context: &'a Compute,
        blocks: usize,
        input: (&'static str, Tensor<'a>),
    ) -> Result<Call<'a, D>> {
        let variant = Variant { element: self.element, blocks };
        let program = match self.first.get() {
            Some((known, program)) if *known == variant => program,
            _ => self.load(variant).map_err(|message| {
                context.error(format_args!("{} {:?}: {message}", input.0, input.1.dims))
            })?,
        };
        Ok(Call { context, program, variant, input })
    }

    fn load(&self, variant: Variant) -> std::result::Result<&'static D::Program, String> {
        let program = D::program(Source::Operators(variant))?;
        self.first.get_or_init(|| (variant, program));
        Ok(program)
    }
}

/// `K` with its kernels on `D`.
pub struct OnDevice<K, D: Device> {
    kernel: K,
    programs: Programs<D>,
}

impl<K: DeviceKernel, D: Device> Kernel for OnDevice<K, D> {
    const NAME: &'static CStr = K::NAME;
    const TYPE: ONNXTensorElementDataType = K::TYPE;
    const PROVIDER: Option<&'static CStr> = D::PROVIDER;
    const INPUTS: usize = K::INPUTS;
    const OUTPUTS: usize = K::OUTPUTS;
    const IN_PLACE: usize = K::DEVICE_IN_PLACE;

    fn infer(shapes: &Shapes) -> Result<()> {
        K::infer(shapes)
    }

    /// Compiles for the number of blocks that the graph states, so that a loaded model has all its kernels.
    fn create(info: &KernelInfo) -> Result<Self> {
        let kernel = K::create(info)?;
        let programs = Programs { element: Element::of(K::TYPE), first: OnceLock::new() };
        if let Some(blocks) = kernel.blocks(info)?.filter(|blocks| (1..=MAX_BLOCKS).contains(blocks)) {
            programs
                .load(Variant { element: Element::of(K::TYPE), blocks })
                .map_err(|message| info.error(format_args!("{message}")))?;
        }
        Ok(Self { kernel, programs })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        self.kernel.queue(context, &self.programs)
    }
}
