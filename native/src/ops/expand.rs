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
use crate::cuda::moves::{Match, Move, queue_match, queue_move};
use crate::cuda::{Device, DeviceKernel, Programs};
use crate::kernels::matrix::MAX_BLOCKS;
use crate::ort::Result;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
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
    mode: Mode,
    count: usize,
    _storage: PhantomData<T>,
}

/// x [tokens, width], and the shape of the output X [count, tokens, d].
struct Expansion<'a> {
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
    fn inputs<'a>(&self, context: &'a Compute) -> Result<Expansion<'a>> {
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

impl<T: Storage> DeviceKernel for Expand<T> {
    fn blocks(&self, _: &KernelInfo) -> Result<Option<usize>> {
        Ok(Some(self.count))
    }

    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let expansion = self.inputs(context)?;
        let (x, Blocks { count, tokens, width }) = (expansion.x, expansion.blocks);
        let call = programs.call(context, count, ("x", x))?;
        let places = Move { from: x.data(), to: context.output(0, expansion.dims())?, ..Move::default() };
        let rows = match self.mode {
            Mode::Match => {
                let matched = Match {
                    from: places.from,
                    to: places.to,
                    width: width as i64,
                    from_block: width as i64,
                    from_row: expansion.width as i64,
                    to_block: (tokens * width) as i64,
                    to_row: width as i64,
                };
                // SAFETY: `inputs` has checked that x is [tokens, count · width]; the output is [count, tokens, width].
                return unsafe { queue_match(&call, "expand_match", tokens, &matched) };
            }
            Mode::Split => Move {
                width: width as i64,
                rows: tokens as i64,
                from_block: width as i64,
                from_row: expansion.width as i64,
                to_block: (tokens * width) as i64,
                to_row: width as i64,
                ..places
            },
            Mode::Replicate => {
                let block = (tokens * width) as i64;
                Move { width: block, rows: 1, to_block: block, ..places }
            }
        };
        // SAFETY: `inputs` has checked that x is [tokens, count · width], or [tokens, width] for replicate. The output
        // is [count, tokens, width].
        unsafe { queue_move(&call, count, rows) }
    }
}

#[cfg(test)]
mod tests {
    use crate::cuda::tests::{Attribute, Case, SHAPES, Tensor, Type, blocks_of, by_token, types};
    use crate::kernels::reference;

    /// [blocks, tokens…, d] → [tokens…, blocks·d]: the blocks of a token side by side.
    fn side_by_side(x: &[f64], dims: &[i64]) -> Vec<f64> {
        let (count, width) = (dims[0] as usize, dims[dims.len() - 1] as usize);
        let blocks = blocks_of(x, count);
        let tokens = x.len() / (count * width);
        (0..tokens)
            .flat_map(|token| blocks.iter().flat_map(move |block| block[token * width..][..width].to_vec()))
            .collect()
    }

    fn node(op: &'static str, mode: &'static str, input: Tensor, output: (&'static str, &[i64])) -> Case {
        let mut attributes = vec![("mode", Attribute::Text(mode))];
        if op == "Expand" {
            attributes.push(("num_blocks", Attribute::Int(output.1[0])));
        }
        Case {
            op,
            attributes,
            inputs: vec![input],
            outputs: vec![(output.0, output.1.to_vec())],
            in_place: 0,
        }
    }

    /// Blocks of very different magnitudes, the last below the minimum divisor.
    #[test]
    fn expand_and_collapse_at_one_magnitude() {
        for Type { check, tensor, rounded } in types() {
            for dims in SHAPES {
                let mut blocks = tensor("blocks", dims, 13);
                let length = blocks.values.len() / dims[0] as usize;
                for (i, value) in blocks.values.iter_mut().enumerate() {
                    *value = rounded(*value * [1.0, 0.25, 1e-3][(i / length.max(1)).min(2)]);
                }
                let scaled = by_token(&blocks.values, dims, |_, blocks| {
                    let scales = reference::magnitude_scales(&blocks);
                    blocks
                        .iter()
                        .zip(scales)
                        .map(|(block, scale)| block.iter().map(|x| x * scale).collect())
                        .collect()
                });
                let mean = by_token(&scaled, dims, |_, blocks| {
                    let count = blocks.len() as f64;
                    vec![
                        (0..blocks[0].len())
                            .map(|e| blocks.iter().map(|block| block[e]).sum::<f64>() / count)
                            .collect(),
                    ]
                });
                let x = Tensor { name: "x", dims: wide(dims), values: side_by_side(&blocks.values, dims) };
                check(&node("Expand", "match", x, ("blocks", dims)), &[scaled]);
                check(&node("Collapse", "match", blocks, ("x", &dims[1..])), &[mean]);
            }
        }
    }

    fn wide(dims: &[i64]) -> Vec<i64> {
        let mut wide = dims[1..].to_vec();
        *wide.last_mut().unwrap() *= dims[0];
        wide
    }

    #[test]
    fn expand_and_collapse() {
        for Type { check, tensor, .. } in types() {
            for dims in SHAPES {
                let count = dims[0] as usize;
                let x = tensor("x", &dims[1..], 11);
                let copies = x.values.repeat(count);
                check(&node("Expand", "replicate", x, ("blocks", dims)), &[copies]);

                let blocks = tensor("blocks", dims, 12);
                let flat = side_by_side(&blocks.values, dims);
                let x = Tensor { name: "x", dims: wide(dims), values: flat.clone() };
                let (cut, joined) = (blocks.values.clone(), [flat]);
                check(&node("Expand", "split", x, ("blocks", dims)), &[cut]);
                check(&node("Collapse", "concatenate", blocks.clone(), ("x", &wide(dims))), &joined);

                let sums = by_token(&blocks.values, dims, |_, blocks| {
                    vec![(0..blocks[0].len()).map(|e| blocks.iter().map(|block| block[e]).sum()).collect()]
                });
                check(&node("Collapse", "sum", blocks, ("x", &dims[1..])), &[sums]);
            }
        }
    }
}
