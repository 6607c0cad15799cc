use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::blocks::Blocks;
use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::match_blocks::expand_matched;
use super::shapes::{Dimension, Shapes};
use super::storage::Storage;
use crate::kernels::matrix::MAX_BLOCKS;
use crate::ort::Result;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// [..., K·d] cut into K blocks: plain AltUp.
    Split,
    /// K copies of [..., d]: Recycled-AltUp.
    Replicate,
    /// Like split, with blocks 1… scaled to the magnitude of block 0: Gemma 3n.
    Match,
}

impl Mode {
    fn of(text: &str) -> Option<Self> {
        match text {
            "split" => Some(Self::Split),
            "replicate" => Some(Self::Replicate),
            "match" => Some(Self::Match),
            _ => None,
        }
    }
}

/// x → X [K, …, d].
pub struct Expand<T> {
    pub(crate) mode: Mode,
    pub(crate) count: usize,
    _storage: PhantomData<T>,
}

/// x [tokens, width], and the shape of the output X [count, tokens, d].
pub(crate) struct Expansion<'a> {
    pub x: Tensor<'a>,
    pub blocks: Blocks,
    pub width: usize,
    dims: [i64; 8],
}

impl Expansion<'_> {
    pub fn dims(&self) -> &[i64] {
        &self.dims[..=self.x.dims.len()]
    }
}

impl<T> Expand<T> {
    pub(crate) fn inputs<'a>(&self, context: &'a Compute) -> Result<Expansion<'a>> {
        let x = context.input(0)?;
        let Some((&width, inner)) = x.dims.split_last() else {
            return Err(context.error(format_args!("x has no dimension to expand")));
        };
        let cuts = if self.mode == Mode::Replicate { 1 } else { self.count };
        if width % cuts as i64 != 0 {
            return Err(
                context.error(format_args!("x {:?} does not split into {} blocks", x.dims, self.count))
            );
        }
        let mut dims = [0_i64; 8];
        if x.dims.len() >= dims.len() {
            return Err(context.error(format_args!("x {:?} has too many dimensions", x.dims)));
        }
        dims[0] = self.count as i64;
        dims[1..=x.dims.len()].copy_from_slice(x.dims);
        dims[x.dims.len()] = width / cuts as i64;
        let tokens = inner.iter().product::<i64>() as usize;
        let blocks = Blocks { count: self.count, tokens, width: width as usize / cuts };
        Ok(Expansion { x, blocks, width: width as usize, dims })
    }
}

impl<T: Storage> Kernel for Expand<T> {
    const NAME: &'static CStr = c"Expand";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 1;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 0;

    fn infer(shapes: &Shapes) -> Result<()> {
        let mode = shapes.text(c"mode").and_then(|text| Mode::of(&text));
        let (Some(mode), Some(count), Some(mut shape)) = (mode, shapes.int(c"num_blocks"), shapes.input(0))
        else {
            return Ok(());
        };
        if mode != Mode::Replicate {
            let Some(Dimension::Size(width)) = shape.last_mut() else { return Ok(()) };
            *width /= count.max(1);
        }
        shape.insert(0, Dimension::Size(count));
        shapes.set(0, &shape)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        let text = info.text(c"mode")?;
        let mode = Mode::of(&text).ok_or_else(|| {
            info.error(format_args!("attribute mode is {text:?}, not split, replicate or match"))
        })?;
        let count = info.index(c"num_blocks")?;
        if !(1..=MAX_BLOCKS).contains(&count) {
            return Err(info.error(format_args!("attribute num_blocks is {count}, not 1 to {MAX_BLOCKS}")));
        }
        Ok(Self { mode, count, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let expansion = self.inputs(context)?;
        let Expansion { x, blocks: Blocks { tokens, width: d, .. }, width, .. } = expansion;
        let (from, to) = (x.data::<T>(), context.output::<T>(0, expansion.dims())?);
        // SAFETY: x is [tokens, width], X is [count, tokens, d], and they do not overlap.
        unsafe {
            match self.mode {
                Mode::Replicate => (0..self.count)
                    .for_each(|block| from.copy_to_nonoverlapping(to.add(block * tokens * d), tokens * d)),
                Mode::Match => return expand_matched(context, &expansion.blocks, from, to),
                Mode::Split => (0..tokens * self.count).for_each(|i| {
                    let (token, block) = (i / self.count, i % self.count);
                    let source = from.add(token * width + block * d);
                    source.copy_to_nonoverlapping(to.add((block * tokens + token) * d), d);
                }),
            }
        }
        Ok(())
    }
}
