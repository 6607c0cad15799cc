use std::arch::aarch64::*;
use std::arch::asm;

use super::{BLOCK, Dots, PANEL, by_words};
use crate::kernels::lanes::Portable;

/// Needs dotprod, and with `HAS_I8MM` i8mm. Instructions without a stable intrinsic are written out.
pub struct Neon<const HAS_I8MM: bool>;

type Integers = [int32x4_t; 2];

// SAFETY: 8 lanes, as in `Portable`, which LLVM compiles to NEON. `load` touches 32 bytes, `zeros` 8 behind
// those of vectors before.
unsafe impl<const HAS_I8MM: bool> Dots for Neon<HAS_I8MM> {
    type Floats = Portable;
    type Integers = Integers;
    const ROWS: usize = if HAS_I8MM { 8 } else { 4 };
    /// `sdot` has no unsigned bytes.
    const BIAS: i32 = if HAS_I8MM { 0 } else { 128 };

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Integers {
        // SAFETY: needs NEON, which the caller promises, with 32 readable bytes.
        unsafe { [load(from), load(from.add(16))] }
    }

    #[inline(always)]
    unsafe fn spread(value: i32) -> Integers {
        // SAFETY: needs NEON, which the caller promises. Only registers are touched.
        unsafe { [vdupq_n_s32(value); 2] }
    }

    #[inline(always)]
    unsafe fn floats(value: Integers) -> [f32; 8] {
        let mut floats = [0.0; 8];
        for half in 0..2 {
            // SAFETY: needs NEON, which the caller promises. Each half has four of the eight numbers.
            unsafe { vst1q_f32(floats.as_mut_ptr().add(4 * half), vcvtq_f32_s32(value[half])) };
        }
        floats
    }

    #[inline(always)]
    unsafe fn low(bytes: Integers) -> Integers {
        // SAFETY: needs NEON, which the caller promises. Only registers are touched.
        unsafe { [low(bytes[0]), low(bytes[1])] }
    }

    #[inline(always)]
    unsafe fn high(bytes: Integers) -> Integers {
        // SAFETY: needs NEON, which the caller promises. Only registers are touched.
        unsafe { [high(bytes[0]), high(bytes[1])] }
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(mut sum: Integers, codes: Integers, signed: Integers) -> Integers {
        for half in 0..2 {
            let (four, mut codes) = (signed[half], codes[half]);
            // SAFETY: needs dotprod, or i8mm for `usdot`, which the caller promises. Only registers are touched.
            unsafe {
                if HAS_I8MM {
                    asm!("usdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum[half], in(vreg) codes, in(vreg) four,
                        options(pure, nomem, nostack, preserves_flags));
                } else {
                    if BITS == 8 {
                        codes = veorq_s32(codes, vreinterpretq_s32_u8(vdupq_n_u8(128)));
                    }
                    asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sum[half], in(vreg) codes, in(vreg) four,
                        options(pure, nomem, nostack, preserves_flags));
                }
            }
        }
        sum
    }

    #[inline(always)]
    unsafe fn zeros<const BITS: usize>(from: *const u8, v: usize) -> Integers {
        // SAFETY: needs NEON, which the caller promises, with the panel's zero points.
        unsafe {
            let bytes = match (BITS, v) {
                (4, 0) => vand_u8(vld1_u8(from), vdup_n_u8(15)),
                (4, _) => vshr_n_u8::<4>(vld1_u8(from)),
                _ => vld1_u8(from.add(8 * v)),
            };
            let wide = vreinterpretq_s16_u16(vmovl_u8(bytes));
            let bias = if BITS == 8 { Self::BIAS as i16 } else { 0 };
            let zeros = vsubq_s16(wide, vdupq_n_s16(bias));
            [vmovl_s16(vget_low_s16(zeros)), vmovl_high_s16(zeros)]
        }
    }

    #[inline(always)]
    unsafe fn add_zeros(sum: Integers, zeros: Integers, b: Integers) -> Integers {
        // SAFETY: needs NEON, which the caller promises. Only registers are touched.
        unsafe { [vmlaq_s32(sum[0], zeros[0], b[0]), vmlaq_s32(sum[1], zeros[1], b[1])] }
    }

    #[inline(always)]
    unsafe fn add_scaled(dot: Integers, scale: [f32; 8], sum: [f32; 8]) -> [f32; 8] {
        let mut result = sum;
        for half in 0..2 {
            // SAFETY: needs NEON, which the caller promises. Each half has four of the eight numbers.
            unsafe {
                let scale = vld1q_f32(scale.as_ptr().add(4 * half));
                let sum = vld1q_f32(sum.as_ptr().add(4 * half));
                let added = vfmaq_f32(sum, vcvtq_f32_s32(dot[half]), scale);
                vst1q_f32(result.as_mut_ptr().add(4 * half), added);
            }
        }
        result
    }

    #[inline(always)]
    unsafe fn block<const BITS: usize, const R: usize, const V: usize>(
        codes: *const u8,
        ahead: usize,
        rows: *const u8,
    ) -> [[Integers; V]; R] {
        // SAFETY: the caller's promises.
        unsafe {
            if HAS_I8MM && R > 1 {
                by_pairs::<BITS, R, V>(codes, rows)
            } else {
                by_words::<Self, BITS, R, V>(codes, ahead, rows)
            }
        }
    }
}

/// [`Dots::block`] for two rows, two columns and eight numbers of each at a time. A last row without another one is
/// computed twice.
#[inline(always)]
unsafe fn by_pairs<const BITS: usize, const R: usize, const V: usize>(
    codes: *const u8,
    rows: *const u8,
) -> [[Integers; V]; R] {
    // SAFETY: the caller promises the codes, the rows and i8mm.
    unsafe {
        let mut dots = [[[vdupq_n_s32(0); 2]; V]; R];
        // Four columns after the other: the sums of eight rows with them fit the registers.
        for four in 0..2 * V {
            // At each even row: columns 0 and 1, columns 2 and 3; in each, the sum of every column with both rows.
            let mut sums = [[vdupq_n_s32(0); 2]; R];
            for i in (0..BITS).step_by(2) {
                let words = [0, 1].map(|next| codes.add(16 * four + 4 * PANEL * (i + next)));
                let words = [load(words[0]), load(words[1])];
                if BITS == 8 {
                    add_pairs(&mut sums, words, rows.add(4 * i));
                } else {
                    add_pairs(&mut sums, [low(words[0]), low(words[1])], rows.add(4 * i));
                    add_pairs(&mut sums, [high(words[0]), high(words[1])], rows.add(BLOCK / 2 + 4 * i));
                }
            }
            for r in (0..R).step_by(2) {
                let [left, right] = sums[r];
                dots[r][four / 2][four % 2] = vuzp1q_s32(left, right);
                if r + 1 < R {
                    dots[r + 1][four / 2][four % 2] = vuzp2q_s32(left, right);
                }
            }
        }
        dots
    }
}

/// Adds the products of two words of four columns with eight activations of each pair of rows.
#[inline(always)]
unsafe fn add_pairs<const R: usize>(sums: &mut [[int32x4_t; 2]; R], words: [int32x4_t; 2], rows: *const u8) {
    // SAFETY: the caller promises i8mm, and rows which are `BLOCK` bytes apart.
    unsafe {
        let columns = [vzip1q_s32(words[0], words[1]), vzip2q_s32(words[0], words[1])];
        for r in (0..R).step_by(2) {
            let other = if r + 1 < R { r + 1 } else { r };
            let pair = vcombine_u8(vld1_u8(rows.add(r * BLOCK)), vld1_u8(rows.add(other * BLOCK)));
            for two in 0..2 {
                asm!("usmmla {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sums[r][two], in(vreg) columns[two], in(vreg) pair,
                    options(pure, nomem, nostack, preserves_flags));
            }
        }
    }
}

#[inline(always)]
unsafe fn load(from: *const u8) -> int32x4_t {
    // SAFETY: needs NEON, which the caller promises, with 16 readable bytes.
    unsafe { vreinterpretq_s32_u8(vld1q_u8(from)) }
}

#[inline(always)]
unsafe fn low(bytes: int32x4_t) -> int32x4_t {
    // SAFETY: needs NEON, which the caller promises. Only registers are touched.
    unsafe { vandq_s32(bytes, vreinterpretq_s32_u8(vdupq_n_u8(15))) }
}

#[inline(always)]
unsafe fn high(bytes: int32x4_t) -> int32x4_t {
    // SAFETY: needs NEON, which the caller promises. Only registers are touched.
    unsafe { vreinterpretq_s32_u8(vshrq_n_u8::<4>(vreinterpretq_u8_s32(bytes))) }
}
