use super::{Dots, FOLD};
use crate::kernels::lanes::{Lanes, MAX_WIDTH, Portable};

const WIDTH: usize = <Portable as Lanes>::WIDTH;

/// The block that `fold` leaves in a lane.
fn place(lane: usize) -> usize {
    lane % FOLD * <Portable as Dots>::GROUPS + lane / FOLD
}

// SAFETY: 8 lanes, as in `Lanes`. Loads and stores touch 32 bytes, `transpose` the `count` bytes that it is allowed to.
unsafe impl Dots for Portable {
    type Integers = [i32; WIDTH];
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self::Integers {
        // SAFETY: the caller promises 4 · WIDTH readable bytes.
        unsafe { from.cast::<Self::Integers>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const u8, count: usize) -> Self::Integers {
        let mut bytes = [0_u8; 4 * WIDTH];
        // SAFETY: the caller promises `count` readable bytes, and 4 · WIDTH fit.
        unsafe {
            from.copy_to_nonoverlapping(bytes.as_mut_ptr(), count.min(4 * WIDTH));
            Self::load(bytes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u8, value: Self::Integers) {
        // SAFETY: the caller promises 4 · WIDTH writable bytes.
        unsafe { to.cast::<Self::Integers>().write_unaligned(value) }
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

    #[inline(always)]
    unsafe fn fold(vectors: [Self::Integers; FOLD]) -> Self::Integers {
        std::array::from_fn(|lane| vectors[lane % FOLD][lane / FOLD * FOLD..][..FOLD].iter().sum())
    }

    #[inline(always)]
    unsafe fn add_neighbours(a: Self::Integers, b: Self::Integers) -> Self::Integers {
        let half = WIDTH / 2;
        std::array::from_fn(|lane| {
            let (from, at) = if lane < half { (&a, lane) } else { (&b, lane - half) };
            from[2 * (at / FOLD) * FOLD + at % FOLD] + from[(2 * (at / FOLD) + 1) * FOLD + at % FOLD]
        })
    }

    #[inline(always)]
    unsafe fn folded(numbers: Self::Integers) -> Self::Vector {
        std::array::from_fn(|lane| f32::from_bits(numbers[place(lane)].cast_unsigned()))
    }

    #[inline(always)]
    unsafe fn folded_bits<const BITS: usize>(numbers: Self::Integers) -> Self::Integers {
        std::array::from_fn(|lane| {
            let from = BITS * place(lane);
            (numbers[from / 32] >> (from % 32)) & ((1 << BITS) - 1)
        })
    }

    #[inline(always)]
    unsafe fn field<const BITS: usize>(words: Self::Integers, from: usize) -> Self::Integers {
        words.map(|word| (word >> from) & ((1 << BITS) - 1))
    }

    #[inline(always)]
    unsafe fn transpose(columns: &[*const u8; MAX_WIDTH], count: usize, to: *mut u8) {
        let mut words = [[0_u32; WIDTH]; WIDTH];
        for (column, from) in columns[..WIDTH].iter().enumerate() {
            let mut bytes = [0_u8; 4 * WIDTH];
            // SAFETY: the caller promises `count` readable bytes in each column, and 4 · WIDTH fit.
            unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), count.min(4 * WIDTH)) };
            for (row, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                row[column] = u32::from_ne_bytes([four[0], four[1], four[2], four[3]]);
            }
        }
        // SAFETY: the caller promises room for WIDTH vectors.
        unsafe { to.cast::<[[u32; WIDTH]; WIDTH]>().write_unaligned(words) };
    }
}
