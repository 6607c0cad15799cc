//! Shared by Predict, Correct, CorrectPredict and Collapse: applies one matrix, or one per token, to rows of memory.

use super::blocks::Blocks;
use super::compute::{Compute, Tensor};
use super::kernel_info::KernelInfo;
use super::rows::Rows;
use super::storage::Storage;
use super::tokens::{PIECE, SERIAL, for_each_token};
use crate::kernels::Matrix;
use crate::ort::Result;

/// One set of coefficients for all tokens, or one set per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coefficients {
    Constant,
    PerToken,
}

impl Coefficients {
    /// `own` is the shape of one set, [K] or [K, K]. Coefficients per token have the tokens' dims before it.
    pub fn of(context: &Compute, coefs: (&str, &Tensor), x: (&str, &Tensor), own: &[i64]) -> Result<Self> {
        let dims = coefs.1.dims;
        if dims == own {
            return Ok(Self::Constant);
        }
        let tokens = &x.1.dims[1..x.1.dims.len() - 1];
        if dims.strip_prefix(tokens) == Some(own) {
            return Ok(Self::PerToken);
        }
        let ((name, _), (x_name, x)) = (coefs, x);
        Err(context.error(format_args!(
            "{name} {dims:?} does not fit {x_name} {:?}: {own:?} wanted, or one of these per token",
            x.dims
        )))
    }
}

impl Coefficients {
    /// Numbers from one token's set to the next token's.
    pub fn step(self, size: usize) -> usize {
        if self == Self::PerToken { size } else { 0 }
    }
}

/// Input `input` as f32, if it is constant and has this rank.
pub fn constant<T: Storage>(info: &KernelInfo, input: usize, rank: usize) -> Result<Option<Vec<f32>>> {
    let Some(tensor) = info.constant(input)?.filter(|tensor| tensor.dims.len() == rank) else {
        return Ok(None);
    };
    let count = tensor.dims.iter().product::<i64>() as usize;
    // SAFETY: the tensor holds that many elements of the type this kernel was registered for.
    Ok(Some((0..count).map(|i| unsafe { tensor.data::<T>().add(i).read() }.to_f32()).collect()))
}

/// Applies `matrix` to whole blocks.
///
/// # Safety
/// As [`crate::kernels::Mixer::run`], for rows of `length` elements.
pub unsafe fn mix_constant<T: Storage>(
    context: &Compute,
    matrix: &Matrix,
    rows: &Rows<T>,
    length: usize,
) -> Result<()> {
    let mixer = rows.mixer();
    if length < SERIAL {
        // SAFETY: the caller promises what `mix` asks for, for rows of `length` elements.
        unsafe { rows.mix(&mixer, matrix, length) };
        return Ok(());
    }
    context.parallel(length.div_ceil(PIECE), &|piece: usize| {
        let from = piece * PIECE;
        // SAFETY: as above; no piece goes beyond `length`, and no two pieces overlap.
        unsafe { rows.at(from).mix(&mixer, matrix, PIECE.min(length - from)) };
    })
}

/// Applies `matrix_of(token)` to the rows of each token.
///
/// # Safety
/// As [`crate::kernels::Mixer::run`], for rows of `blocks.length()` elements.
pub unsafe fn mix_per_token<T: Storage>(
    context: &Compute,
    rows: &Rows<T>,
    blocks: &Blocks,
    matrix_of: impl Fn(usize) -> Matrix + Sync,
) -> Result<()> {
    let mixer = rows.mixer();
    // SAFETY: the caller promises what `mix` asks for, for rows of all tokens, and each token has its own elements.
    for_each_token(context, blocks.tokens, blocks.width, &|token| unsafe {
        rows.at(token * blocks.width).mix(&mixer, &matrix_of(token), blocks.width);
    })
}
