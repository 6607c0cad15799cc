use super::Dots;
use crate::kernels::lanes::{Lanes, Portable};

const WIDTH: usize = <Portable as Lanes>::WIDTH;

// SAFETY: 8 lanes, as in `Lanes`. `load` touches 32 bytes, `zeros` 8 behind those of vectors before.
unsafe impl Dots for Portable {
    type Floats = Self;
    type Integers = [i32; WIDTH];
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self::Integers {
        // SAFETY: the caller promises 4 · WIDTH readable bytes.
        unsafe { from.cast::<Self::Integers>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn spread(value: i32) -> Self::Integers {
        [value; WIDTH]
    }

    #[inline(always)]
    unsafe fn floats(value: Self::Integers) -> [f32; WIDTH] {
        value.map(|lane| lane as f32)
    }

    #[inline(always)]
    unsafe fn low(bytes: Self::Integers) -> Self::Integers {
        bytes.map(|lane| lane & 0x0f0f_0f0f)
    }

    #[inline(always)]
    unsafe fn high(bytes: Self::Integers) -> Self::Integers {
        bytes.map(|lane| (lane >> 4) & 0x0f0f_0f0f)
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(
        mut sum: Self::Integers,
        codes: Self::Integers,
        signed: Self::Integers,
    ) -> Self::Integers {
        for lane in 0..WIDTH {
            for byte in 0..4 {
                let signed = i32::from((signed[lane] >> (8 * byte)) as i8);
                sum[lane] += ((codes[lane] >> (8 * byte)) & 0xff) * signed;
            }
        }
        sum
    }

    #[inline(always)]
    unsafe fn zeros<const BITS: usize>(from: *const u8, v: usize) -> Self::Integers {
        // SAFETY: the caller promises the panel's zero points.
        unsafe {
            if BITS == 4 {
                return from
                    .cast::<[u8; WIDTH]>()
                    .read_unaligned()
                    .map(|pair| i32::from(pair >> (4 * v) & 15));
            }
            from.add(v * WIDTH).cast::<[u8; WIDTH]>().read_unaligned().map(i32::from)
        }
    }

    #[inline(always)]
    unsafe fn add_zeros(mut sum: Self::Integers, zeros: Self::Integers, b: Self::Integers) -> Self::Integers {
        for lane in 0..WIDTH {
            sum[lane] += zeros[lane] * b[lane];
        }
        sum
    }

    #[inline(always)]
    unsafe fn add_scaled(dot: Self::Integers, scale: [f32; WIDTH], sum: [f32; WIDTH]) -> [f32; WIDTH] {
        // A call into the C library where the target has no fused instruction: slow, but the same bits everywhere.
        std::array::from_fn(|lane| (dot[lane] as f32).mul_add(scale[lane], sum[lane]))
    }
}
