//! Reads [K, …, d] from a tensor's dims and reports dims that do not fit.

use super::compute::{Compute, Tensor};
use crate::kernels::matrix::MAX_BLOCKS;
use crate::ort::Result;

/// X [K, …, d]: K blocks, each `tokens` rows of `width` numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    pub count: usize,
    pub tokens: usize,
    pub width: usize,
}

impl Blocks {
    pub fn of(context: &Compute, name: &str, x: &Tensor) -> Result<Self> {
        let [count, inner @ .., width] = x.dims else {
            return Err(context.error(format_args!("{name} {:?} is not [K, ..., d]", x.dims)));
        };
        if *count < 1 || *count > MAX_BLOCKS as i64 {
            return Err(context.error(format_args!("{name} {:?} has not 1 to {MAX_BLOCKS} blocks", x.dims)));
        }
        let tokens: i64 = inner.iter().product();
        Ok(Self { count: *count as usize, tokens: tokens as usize, width: *width as usize })
    }

    /// Numbers in one block.
    pub fn length(&self) -> usize {
        self.tokens * self.width
    }

    /// Refuses a block number that X does not have.
    pub fn check_block(&self, context: &Compute, attribute: &str, block: usize) -> Result<()> {
        if block < self.count {
            return Ok(());
        }
        Err(context
            .error(format_args!("attribute {attribute} is {block}, but there are {} blocks", self.count)))
    }
}

/// Refuses a Y that is not one block of X.
pub fn check_block_shape(context: &Compute, x: (&str, &Tensor), y: (&str, &Tensor)) -> Result<()> {
    if x.1.dims.get(1..) == Some(y.1.dims) {
        return Ok(());
    }
    let ((x_name, x), (y_name, y)) = (x, y);
    Err(context.error(format_args!("{y_name} {:?} is not one block of {x_name} {:?}", y.dims, x.dims)))
}
