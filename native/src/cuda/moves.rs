//! Select, Expand and Collapse on a device. They move blocks; some modes also scale or sum them.

use super::arguments::{Match, Move};
use super::device::{Device, Function};
use super::element::Element;
use super::launch::{Call, Spread};
use super::mix::{mix_of, queue_mix};
use super::on_device::{DeviceKernel, Programs};
use crate::ops::blocks::Blocks;
use crate::ops::collapse::{self, Collapse};
use crate::ops::expand::{self, Expand};
use crate::ops::select::Select;
use crate::ops::{Compute, KernelInfo, Storage};
use crate::ort::Result;

/// # Safety
/// The addresses in `rows` are valid for `blocks` blocks of its shape.
unsafe fn queue_move<D: Device>(call: &Call<D>, blocks: usize, mut rows: Move) -> Result<()> {
    let strides = [rows.from_block, rows.from_row, rows.to_block, rows.to_row].map(|stride| stride as usize);
    let addresses = [rows.from, rows.to.cast_const()];
    let spread = Spread::new(call.variant, call.variant.wide(), rows.width as usize, &strides, &addresses);
    rows.chunks = spread.chunks;
    // SAFETY: the caller promises the addresses for `blocks` blocks of `rows` rows, and `spread` has checked alignment.
    unsafe { call.spread(Function::MoveRows, blocks * rows.rows as usize, spread, &rows) }
}

/// # Safety
/// The addresses in `matched` are valid for `tokens` tokens of its shape.
unsafe fn queue_match<D: Device>(
    call: &Call<D>,
    function: Function,
    tokens: usize,
    matched: &Match,
) -> Result<()> {
    let strides = [matched.from_block, matched.from_row, matched.to_block, matched.to_row];
    let addresses = [matched.from, matched.to.cast_const()];
    let (lanes, width) = (call.variant.lanes(), matched.width as usize);
    let spread = Spread::new(call.variant, lanes, width, &strides.map(|stride| stride as usize), &addresses);
    // SAFETY: the caller promises the addresses for `tokens` tokens, and `spread` has checked alignment.
    unsafe { call.row_by_row(function, tokens, spread.is_aligned, matched) }
}

impl<T: Storage> DeviceKernel for Select<T> {
    const ELEMENT: Element = Element::of::<T>();

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

impl<T: Storage> DeviceKernel for Expand<T> {
    const ELEMENT: Element = Element::of::<T>();

    fn blocks(&self, _: &KernelInfo) -> Result<Option<usize>> {
        Ok(Some(self.count))
    }

    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let expansion = self.inputs(context)?;
        let (x, Blocks { count, tokens, width }) = (expansion.x, expansion.blocks);
        let call = programs.call(context, count, ("x", x))?;
        let places = Move { from: x.data(), to: context.output(0, expansion.dims())?, ..Move::default() };
        let rows = match self.mode {
            expand::Mode::Match => {
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
                return unsafe { queue_match(&call, Function::ExpandMatch, tokens, &matched) };
            }
            expand::Mode::Split => Move {
                width: width as i64,
                rows: tokens as i64,
                from_block: width as i64,
                from_row: expansion.width as i64,
                to_block: (tokens * width) as i64,
                to_row: width as i64,
                ..places
            },
            expand::Mode::Replicate => {
                let block = (tokens * width) as i64;
                Move { width: block, rows: 1, to_block: block, ..places }
            }
        };
        // SAFETY: `inputs` has checked that x is [tokens, count · width], or [tokens, width] for replicate. The output
        // is [count, tokens, width].
        unsafe { queue_move(&call, count, rows) }
    }
}

impl<T: Storage> DeviceKernel for Collapse<T> {
    const ELEMENT: Element = Element::of::<T>();

    fn queue<D: Device>(&self, context: &Compute, programs: &Programs<D>) -> Result<()> {
        let collapsing = self.inputs(context)?;
        let (x, blocks) = (collapsing.x, collapsing.blocks);
        let Blocks { count, tokens, width } = blocks;
        let call = programs.call(context, count, ("blocks", x))?;
        let to = context.output(0, collapsing.dims())?;
        match self.mode {
            // SAFETY: X has the shape in `blocks`; the output is one block, which is all that the sum writes.
            collapse::Mode::Sum => unsafe {
                queue_mix(&call, Function::Sum, &blocks, mix_of(&x, &blocks, to), false)
            },
            collapse::Mode::Match => {
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
                unsafe { queue_match(&call, Function::CollapseMatch, tokens, &matched) }
            }
            collapse::Mode::Concatenate => {
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
