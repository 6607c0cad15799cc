//! A matrix of codes in the order in which [`super::panel::Panel`] reads it.

use super::arena::Piece;
use super::column::zero_of;
use super::{BLOCK, Codes};
use crate::kernels::dots::PANEL;
use crate::kernels::instruction_set::DotSet;

/// Panels of [`PANEL`] columns, whatever the instruction set; the last one is filled up with copies of the last column. A
/// panel has, block by block in the order in which they are summed, words of four bytes of codes, one of each column;
/// then the scales; then the zero points, a byte each.
pub struct Packed<const BITS: usize> {
    memory: Piece,
    pub(super) set: DotSet,
    pub columns: usize,
    pub blocks: usize,
}

/// Where the parts of a panel begin.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    pub scales: usize,
    pub zeros: usize,
    pub end: usize,
}

impl<const BITS: usize> Packed<BITS> {
    /// None if the system has no memory for it.
    ///
    /// # Safety
    /// The codes, scales and zero points are there to be read. The matrix has at least one column and one block.
    pub unsafe fn new(set: DotSet, codes: &Codes<BITS>) -> Option<Self> {
        let (columns, blocks) = (codes.columns, codes.blocks);
        let parts = Self::parts(blocks);
        let order: Vec<usize> = in_order(blocks).collect();
        let mut memory = Piece::new(columns.div_ceil(PANEL) * parts.end)?;
        for (panel, to) in memory.as_mut().chunks_exact_mut(parts.end).enumerate() {
            // SAFETY: the caller promises the matrix, and `column` stays within it.
            let own: Vec<_> = (0..PANEL).map(|i| unsafe { codes.column(panel * PANEL + i) }).collect();
            let (words, rest) = to.split_at_mut(parts.scales);
            let (scales, zeros) = rest.split_at_mut(parts.zeros - parts.scales);
            for (block, words) in order.iter().zip(words.chunks_exact_mut(4 * BITS * PANEL)) {
                for (i, word) in words.chunks_exact_mut(4 * PANEL).enumerate() {
                    for (four, (codes, ..)) in word.chunks_exact_mut(4).zip(&own) {
                        four.copy_from_slice(&codes[4 * (block * BITS + i)..][..4]);
                    }
                }
            }
            for (block, scales) in order.iter().zip(scales.chunks_exact_mut(4 * PANEL)) {
                for (scale, (_, from, _)) in scales.chunks_exact_mut(4).zip(&own) {
                    scale.copy_from_slice(&from[*block].to_ne_bytes());
                }
            }
            for (block, zeros) in order.iter().zip(zeros.chunks_exact_mut(PANEL)) {
                for (zero, (.., from)) in zeros.iter_mut().zip(&own) {
                    *zero = zero_of::<BITS>(from, *block);
                }
            }
        }
        Some(Self { memory, set, columns, blocks })
    }

    pub(super) fn parts(blocks: usize) -> Parts {
        let scales = blocks * PANEL * BLOCK * BITS / 8;
        let zeros = scales + blocks * PANEL * 4;
        Parts { scales, zeros, end: (zeros + blocks * PANEL).next_multiple_of(64) }
    }

    pub(super) fn panel_bytes(&self) -> usize {
        Self::parts(self.blocks).end
    }

    pub(super) fn panel(&self, index: usize) -> *const u8 {
        self.memory.as_ptr().wrapping_add(index * self.panel_bytes())
    }
}

/// Blocks in the order in which they are summed: by the remainder of their numbers, divided by [`PANEL`].
#[inline(always)]
pub(super) fn in_order(blocks: usize) -> impl Iterator<Item = usize> {
    (0..PANEL).flat_map(move |first| (first..blocks).step_by(PANEL))
}
