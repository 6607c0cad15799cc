//! Gemma 3n's blocks with equal magnitude: xⁱ·√(mean((x⁰)²) / max(mean((xⁱ)²), 10⁻⁵)) for all blocks except the first.

use super::element::Element;
use super::instruction_set::{InstructionSet, Vectorised};
use super::lanes::Lanes;
use super::matrix::MAX_BLOCKS;
use super::row;

/// The minimum mean square in the divisor.
pub const LEAST_MEAN_SQUARE: f32 = 1e-5;

/// The blocks of one token.
#[derive(Clone, Copy)]
pub struct TokenBlocks<T> {
    pub first: *const T,
    /// Elements from one block to the next.
    pub stride: usize,
    pub count: usize,
    pub width: usize,
}

impl<T: Element> Vectorised for TokenBlocks<T> {
    type Output = [f32; MAX_BLOCKS];

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) -> [f32; MAX_BLOCKS] {
        // SAFETY: `block` is 0 or below `count`. The caller promises `count` readable blocks of `width` elements, at
        // least one because block 0 is always read, and a CPU with `L`.
        let mean_square = |block: usize| unsafe {
            let row = self.first.add(block * self.stride);
            row::sum::<L, T>(row, self.width, 0.0, |x| L::mul(x, x)) / self.width as f32
        };
        let mut scales = [1.0; MAX_BLOCKS];
        let first = mean_square(0);
        for (block, scale) in scales[..self.count].iter_mut().enumerate().skip(1) {
            *scale = (first / mean_square(block).max(LEAST_MEAN_SQUARE)).sqrt();
        }
        scales
    }
}

/// The factor for each block; 1 for the first.
///
/// # Safety
/// The blocks are valid for reading, and `set` is available.
pub unsafe fn magnitude_scales<T: Element>(set: InstructionSet, blocks: TokenBlocks<T>) -> [f32; MAX_BLOCKS] {
    assert!(blocks.count <= MAX_BLOCKS);
    // SAFETY: the caller promises that the blocks are readable, at least one, and that `set` is available.
    unsafe { set.run(blocks) }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::reference;
    use crate::kernels::tests::{config, exact};

    fn check<T: Element>(values: &[f32], count: usize) {
        let width = values.len() / count;
        let stored: Vec<T> = values.iter().copied().map(T::from_f32).collect();
        let blocks: reference::Blocks = stored.chunks_exact(width).take(count).map(exact).collect();
        let want = reference::magnitude_scales(&blocks);
        for set in InstructionSet::available() {
            let token = TokenBlocks { first: stored.as_ptr(), stride: width, count, width };
            // SAFETY: `width` is the length divided by `count`, so `stored` has that many blocks. `set` is available.
            let got = unsafe { magnitude_scales(set, token) };
            for (got, want) in got.iter().zip(&want) {
                assert!((f64::from(*got) - want).abs() <= 1e-5 * want, "{set:?}: {got} instead of {want}");
            }
        }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn every_type_matches_the_reference(
            count in 1..=5_usize,
            values in prop::collection::vec(-2.0_f32..2.0, 5..if cfg!(miri) { 60 } else { 500 }),
            faint in any::<bool>(),
        ) {
            // The last blocks fall below the minimum divisor.
            let half = values.len() / 2;
            let values: Vec<f32> =
                values.iter().enumerate().map(|(i, v)| if faint && i > half { v * 1e-4 } else { *v }).collect();
            check::<f32>(&values, count);
            check::<f16>(&values, count);
            check::<bf16>(&values, count);
        }
    }
}
