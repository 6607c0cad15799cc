//! A matrix of codes in the order in which [`super::panel::Panel`] reads it.

use std::sync::{Mutex, PoisonError};
use std::thread;

use half::f16;

use super::arena::Piece;
use super::column::zero_of;
use super::{BLOCK, Codes};
use crate::kernels::dots::PANEL;
use crate::kernels::instruction_set::DotSet;

/// Puts the scales of usual weights in the range of float16 that has full precision, as the exporter does
/// (src/export/quantize/quantize-block.ts). A power of two: sums of products with them keep their bits.
pub(super) const SCALE_FACTOR: f32 = 4096.0;

/// Numbers of a matrix for which another thread pays.
const NUMBERS_PER_THREAD: usize = 1 << 20;

/// More are waiting for memory.
const MAX_THREADS: usize = 8;

/// Panels of [`PANEL`] columns, whatever the instruction set; the last one is filled up with copies of the last column. A
/// panel has, block by block in the order in which they are summed, words of four bytes of codes, one of each column;
/// then the scales, in float16, times [`SCALE_FACTOR`], if that is exact for all of the matrix; then the zero points, as [`Dots::zeros`] reads
/// them. Decoding reads all of this once for each token, so every byte counts.
pub struct Packed<const BITS: usize> {
    memory: Piece,
    pub(super) set: DotSet,
    pub columns: usize,
    pub blocks: usize,
    pub(super) parts: Parts,
}

/// Where the parts of a panel begin.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    /// The size of a scale: 2 or 4.
    pub scale_bytes: usize,
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
        // SAFETY: the caller promises the scales.
        let all_scales = unsafe { std::slice::from_raw_parts(codes.scales, columns * blocks) };
        let is_narrow = all_scales.iter().all(|scale| narrow(*scale).is_some());
        let parts = Self::parts(blocks, if is_narrow { 2 } else { 4 });
        let mut memory = Piece::new(columns.div_ceil(PANEL) * parts.end)?;
        let order: Vec<usize> = in_order(blocks).collect();
        let panels = Mutex::new(memory.bytes_mut().chunks_exact_mut(parts.end).enumerate());
        let next = || panels.lock().unwrap_or_else(PoisonError::into_inner).next();
        let pack_rest = || {
            while let Some((panel, to)) = next() {
                // SAFETY: the caller promises the matrix.
                unsafe { Self::pack_panel(codes, parts, &order, panel, to) };
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let helpers = (columns * blocks * BLOCK / NUMBERS_PER_THREAD).min(threads - 1);
        thread::scope(|scope| {
            for _ in 0..helpers {
                // This thread does what a helper that cannot be had would do.
                let _ = thread::Builder::new().spawn_scoped(scope, pack_rest);
            }
            pack_rest();
        });
        Some(Self { memory, set, columns, blocks, parts })
    }

    /// # Safety
    /// The codes, scales and zero points are there to be read.
    unsafe fn pack_panel(codes: &Codes<BITS>, parts: Parts, order: &[usize], panel: usize, to: &mut [u8]) {
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
        for (block, scales) in order.iter().zip(scales.chunks_exact_mut(parts.scale_bytes * PANEL)) {
            for (scale, (_, from, _)) in scales.chunks_exact_mut(parts.scale_bytes).zip(&own) {
                match narrow(from[*block]) {
                    Some(half) if parts.scale_bytes == 2 => scale.copy_from_slice(&half.to_ne_bytes()),
                    _ => scale.copy_from_slice(&from[*block].to_ne_bytes()),
                }
            }
        }
        for (block, zeros) in order.iter().zip(zeros.chunks_exact_mut(PANEL * BITS / 8)) {
            for (column, (.., from)) in own.iter().enumerate() {
                let (byte, shift) = Self::zero_place(column);
                zeros[byte] |= zero_of::<BITS>(from, *block) << shift;
            }
        }
    }

    fn parts(blocks: usize, scale_bytes: usize) -> Parts {
        let scales = blocks * PANEL * BLOCK * BITS / 8;
        let zeros = scales + blocks * PANEL * scale_bytes;
        let end = (zeros + blocks * PANEL * BITS / 8).next_multiple_of(64);
        Parts { scale_bytes, scales, zeros, end }
    }

    /// Byte and bit where a column's zero point lies in those of its block.
    pub(super) fn zero_place(column: usize) -> (usize, usize) {
        if BITS == 4 { (column % (PANEL / 2), 4 * (column / (PANEL / 2))) } else { (column, 0) }
    }

    pub(super) fn panel_bytes(&self) -> usize {
        self.parts.end
    }

    pub(super) fn panel(&self, index: usize) -> *const u8 {
        self.memory.as_ptr().wrapping_add(index * self.panel_bytes())
    }
}

/// A scale in float16, times [`SCALE_FACTOR`]; None if that is not exact.
fn narrow(scale: f32) -> Option<f16> {
    let half = f16::from_f32(scale * SCALE_FACTOR);
    (half.to_f32() / SCALE_FACTOR == scale).then_some(half)
}

/// Blocks in the order in which they are summed: by the remainder of their numbers, divided by [`PANEL`].
#[inline(always)]
pub(super) fn in_order(blocks: usize) -> impl Iterator<Item = usize> {
    (0..PANEL).flat_map(move |first| (first..blocks).step_by(PANEL))
}
