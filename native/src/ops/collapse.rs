use std::ffi::CStr;
use std::marker::PhantomData;

use ort_sys::ONNXTensorElementDataType;

use super::blocks::Blocks;
use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::match_blocks::collapse_matched;
use super::mixing::mix_constant;
use super::rows::Rows;
use super::shapes::{Dimension, Shapes};
use super::storage::Storage;
use crate::cuda::mix::{mix_of, queue_mix};
use crate::cuda::moves::{Match, Move, queue_match, queue_move};
use crate::cuda::{Device, DeviceKernel, Programs};
use crate::kernels::Matrix;
use crate::kernels::matrix::MAX_BLOCKS;
use crate::ort::Result;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The blocks of a token side by side, [..., K·d]: plain AltUp.
    Concatenate,
    /// The sum of a token's blocks, [..., d]: Recycled-AltUp.
    Sum,
    /// The mean of a token's blocks, scaled to the magnitude of block 0, [..., d]: Gemma 3n.
    Match,
}

impl Mode {
    fn of(text: &str) -> Option<Self> {
        match text {
            "concatenate" => Some(Self::Concatenate),
            "sum" => Some(Self::Sum),
            "match" => Some(Self::Match),
            _ => None,
        }
    }
}

/// X [K, …, d] → x.
pub struct Collapse<T> {
    mode: Mode,
    _storage: PhantomData<T>,
}

/// X, and the dims of the output x.
struct Collapsing<'a> {
    pub x: Tensor<'a>,
    pub blocks: Blocks,
    dims: [i64; 8],
}

impl Collapsing<'_> {
    pub fn dims(&self) -> &[i64] {
        &self.dims[..self.x.dims.len() - 1]
    }
}

impl<T> Collapse<T> {
    fn inputs<'a>(&self, context: &'a Compute) -> Result<Collapsing<'a>> {
        let x = context.input(0)?;
        let blocks = Blocks::of(context, "blocks", &x)?;
        let (mut dims, rank) = ([0_i64; 8], x.dims.len() - 1);
        if rank > dims.len() {
            return Err(context.error(format_args!("blocks {:?} have too many dimensions", x.dims)));
        }
        dims[..rank].copy_from_slice(&x.dims[1..]);
        if self.mode == Mode::Concatenate {
            dims[rank - 1] = (blocks.count * blocks.width) as i64;
        }
        Ok(Collapsing { x, blocks, dims })
    }
}

impl<T: Storage> Kernel for Collapse<T> {
    const NAME: &'static CStr = c"Collapse";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 1;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 0;

    fn infer(shapes: &Shapes) -> Result<()> {
        let mode = shapes.text(c"mode").and_then(|text| Mode::of(&text));
        let (Some(mode), Some(mut shape)) = (mode, shapes.input(0)) else { return Ok(()) };
        if mode == Mode::Concatenate {
            let (Dimension::Size(count), Some(Dimension::Size(width))) = (shape[0].clone(), shape.last_mut())
            else {
                return Ok(());
            };
            *width *= count;
        }
        shapes.set(0, &shape[1..])
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        let text = info.text(c"mode")?;
        let mode = Mode::of(&text).ok_or_else(|| {
            info.error(format_args!("attribute mode is {text:?}, not concatenate, sum or match"))
        })?;
        Ok(Self { mode, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let collapsing = self.inputs(context)?;
        let Collapsing { x, blocks, .. } = collapsing;
        let Blocks { count, tokens, width } = blocks;
        let (from, to) = (x.data::<T>(), context.output::<T>(0, collapsing.dims())?);
        // SAFETY: X is [count, tokens, width]; x is [tokens, count, width] or [tokens, width] and does not overlap X.
        unsafe {
            match self.mode {
                Mode::Match => collapse_matched(context, &blocks, from, to),
                Mode::Sum => {
                    let sum = Matrix::row_of(&[1.0; MAX_BLOCKS][..count]);
                    let mut rows = Rows::new();
                    rows.read_blocks(from, &blocks).write(to);
                    mix_constant(context, &sum, &rows, blocks.length())
                }
                Mode::Concatenate => {
                    (0..tokens * count).for_each(|i| {
                        let (token, block) = (i / count, i % count);
                        let source = from.add((block * tokens + token) * width);
                        source.copy_to_nonoverlapping(to.add(i * width), width);
                    });
                    Ok(())
                }
            }
        }
    }
}

impl<T: Storage> DeviceKernel for Collapse<T> {
    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let collapsing = self.inputs(context)?;
        let (x, blocks) = (collapsing.x, collapsing.blocks);
        let Blocks { count, tokens, width } = blocks;
        let call = programs.call(context, count, ("blocks", x))?;
        let to = context.output(0, collapsing.dims())?;
        match self.mode {
            // SAFETY: X has the shape in `blocks`; the output is one block, which is all that the sum writes.
            Mode::Sum => unsafe { queue_mix(&call, "sum", &blocks, mix_of(&x, &blocks, to), false) },
            Mode::Match => {
                let matched = Match {
                    from: x.data(),
                    to,
                    width: width as i64,
                    from_block: (tokens * width) as i64,
                    from_row: width as i64,
                    to_block: 0,
                    to_row: width as i64,
                };
                // SAFETY: X is [count, tokens, width], from its dims; the output is [tokens, width].
                unsafe { queue_match(&call, "collapse_match", tokens, &matched) }
            }
            Mode::Concatenate => {
                let rows = Move {
                    from: x.data(),
                    to,
                    width: width as i64,
                    rows: tokens as i64,
                    from_block: (tokens * width) as i64,
                    from_row: width as i64,
                    to_block: width as i64,
                    to_row: (count * width) as i64,
                    chunks: 0,
                };
                // SAFETY: X is [count, tokens, width], from its dims; the output is [tokens, count · width].
                unsafe { queue_move(&call, count, rows) }
            }
        }
    }
}
