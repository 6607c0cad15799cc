//! Mode `match` of Expand and Collapse: Gemma 3n's blocks with equal magnitude.

use super::blocks::Blocks;
use super::compute::Compute;
use super::storage::Storage;
use super::tokens::{Place, for_each_token};
use crate::kernels::match_magnitude::{TokenBlocks, magnitude_scales};
use crate::kernels::matrix::MAX_BLOCKS;
use crate::kernels::{InstructionSet, Matrix, Mixer};
use crate::ort::Result;

/// x [tokens, K, d] → X [K, tokens, d], with every block scaled to the magnitude of the first.
///
/// # Safety
/// `from` and `to` hold K · tokens · d elements each and do not overlap.
pub unsafe fn expand_matched<T: Storage>(
    context: &Compute,
    blocks: &Blocks,
    from: *const T,
    to: *mut T,
) -> Result<()> {
    let Blocks { count, tokens, width } = *blocks;
    let (from, to) = (Place::of(from.cast_mut()), Place::of(to));
    let (set, mixer) = (InstructionSet::fastest(), Mixer::<T>::new(1, 1));
    // SAFETY: `from` and `to` hold K · tokens · d elements, as the caller promises, every token has its own rows in
    // both, and this CPU has the `fastest` set.
    for_each_token(context, tokens, width, &|token| unsafe {
        let start = token * count * width;
        let scales =
            magnitude_scales(set, TokenBlocks { first: from.at(start), stride: width, count, width });
        for (block, scale) in scales[..count].iter().enumerate() {
            let row = from.at(start + block * width).cast_const();
            mixer.run(&Matrix::row_of(&[*scale]), &[row], &[to.at((block * tokens + token) * width)], width);
        }
    })
}

/// X [K, tokens, d] → [tokens, d], the mean of the blocks, each scaled to the magnitude of the first.
///
/// # Safety
/// `from` holds X, `to` holds one block, and they do not overlap.
pub unsafe fn collapse_matched<T: Storage>(
    context: &Compute,
    blocks: &Blocks,
    from: *const T,
    to: *mut T,
) -> Result<()> {
    let Blocks { count, tokens, width } = *blocks;
    let (from, to) = (Place::of(from.cast_mut()), Place::of(to));
    let (set, mixer) = (InstructionSet::fastest(), Mixer::<T>::new(1, count));
    // SAFETY: `from` holds K · tokens · d elements and `to` tokens · d, as the caller promises, every token has its
    // own rows in both, and this CPU has the `fastest` set.
    for_each_token(context, tokens, width, &|token| unsafe {
        let first = from.at(token * width);
        let stride = tokens * width;
        let mut scales = magnitude_scales(set, TokenBlocks { first, stride, count, width });
        scales.iter_mut().for_each(|scale| *scale /= count as f32);
        let mut rows = [std::ptr::null(); MAX_BLOCKS];
        for (block, row) in rows[..count].iter_mut().enumerate() {
            *row = from.at(token * width + block * stride).cast_const();
        }
        mixer.run(&Matrix::row_of(&scales[..count]), &rows[..count], &[to.at(token * width)], width);
    })
}
