use super::Dots;
use crate::kernels::lanes::{Lanes, Portable};

const WIDTH: usize = <Portable as Lanes>::WIDTH;

// SAFETY: 8 lanes, as in `Lanes`. Loads touch 32 bytes, `widen` 8.
unsafe impl Dots for Portable {
    type Integers = [i32; WIDTH];
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self::Integers {
        // SAFETY: the caller promises 4 · WIDTH readable bytes.
        unsafe { from.cast::<Self::Integers>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn widen(from: *const u8) -> Self::Integers {
        // SAFETY: the caller promises a byte for each lane.
        unsafe { from.cast::<[u8; WIDTH]>().read_unaligned() }.map(i32::from)
    }

    #[inline(always)]
    unsafe fn spread(value: i32) -> Self::Integers {
        [value; WIDTH]
    }

    #[inline(always)]
    unsafe fn floats(value: Self::Integers) -> Self::Vector {
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
        unsigned: Self::Integers,
        signed: Self::Integers,
    ) -> Self::Integers {
        for lane in 0..WIDTH {
            for byte in 0..4 {
                let signed = i32::from((signed[lane] >> (8 * byte)) as i8);
                sum[lane] += ((unsigned[lane] >> (8 * byte)) & 0xff) * signed;
            }
        }
        sum
    }

    #[inline(always)]
    unsafe fn add_product(mut sum: Self::Integers, a: Self::Integers, b: Self::Integers) -> Self::Integers {
        for lane in 0..WIDTH {
            sum[lane] += a[lane] * b[lane];
        }
        sum
    }
}
