use half::{bf16, f16};

use super::Lanes;

/// Arrays that LLVM compiles to the target's vectors (NEON on arm64, SSE2 on x86-64).
pub struct Portable;

const WIDTH: usize = 8;

// SAFETY: a vector has 8 lanes, at most `MAX_WIDTH`. Loads and stores touch just these and need no alignment.
unsafe impl Lanes for Portable {
    const WIDTH: usize = WIDTH;
    type Vector = [f32; WIDTH];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::Vector {
        [value; WIDTH]
    }

    #[inline(always)]
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    unsafe fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // f32::mul_add would call into the C library where the target has no fused instruction.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    unsafe fn power_of_two(n: Self::Vector) -> Self::Vector {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    unsafe fn sum(a: Self::Vector) -> f32 {
        a.iter().sum()
    }

    #[inline(always)]
    unsafe fn sums(vectors: [Self::Vector; 4]) -> [f32; 4] {
        vectors.map(|vector| vector.iter().sum())
    }

    #[inline(always)]
    unsafe fn highest(a: Self::Vector) -> f32 {
        a.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const u8) {}

    #[inline(always)]
    unsafe fn load_f32(from: *const f32) -> Self::Vector {
        // SAFETY: the caller promises 8 readable f32 at `from`. An unaligned read needs no alignment.
        unsafe { from.cast::<Self::Vector>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> Self::Vector {
        // SAFETY: the caller promises 8 readable f16 at `from`. An unaligned read needs no alignment.
        let halves = unsafe { from.cast::<[f16; WIDTH]>().read_unaligned() };
        halves.map(f16::to_f32)
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> Self::Vector {
        // SAFETY: the caller promises 8 readable bf16 at `from`. An unaligned read needs no alignment.
        let halves = unsafe { from.cast::<[bf16; WIDTH]>().read_unaligned() };
        halves.map(bf16::to_f32)
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self::Vector {
        // SAFETY: the caller promises 8 readable bytes at `from`.
        unsafe { from.cast::<[i8; WIDTH]>().read() }.map(f32::from)
    }

    #[inline(always)]
    unsafe fn store_f32(to: *mut f32, value: Self::Vector) {
        // SAFETY: the caller promises 8 writable f32 at `to`. An unaligned write needs no alignment.
        unsafe { to.cast::<Self::Vector>().write_unaligned(value) }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut f16, value: Self::Vector) {
        // SAFETY: the caller promises 8 writable f16 at `to`. An unaligned write needs no alignment.
        unsafe { to.cast::<[f16; WIDTH]>().write_unaligned(value.map(f16::from_f32)) }
    }

    #[inline(always)]
    unsafe fn store_bf16(to: *mut bf16, value: Self::Vector) {
        // SAFETY: the caller promises 8 writable bf16 at `to`. An unaligned write needs no alignment.
        unsafe { to.cast::<[bf16; WIDTH]>().write_unaligned(value.map(bf16::from_f32)) }
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, value: Self::Vector) {
        /// 2^23 · 1.5. Adding it leaves the rounded number in the low bits, as whole numbers do not need a call.
        const ROUNDS: f32 = 12_582_912.0;
        let rounded = value.map(|lane| (lane + ROUNDS).to_bits() as i8);
        // SAFETY: the caller promises 8 writable bytes at `to`.
        unsafe { to.cast::<[i8; WIDTH]>().write(rounded) }
    }
}
