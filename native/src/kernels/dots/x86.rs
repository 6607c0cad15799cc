use std::arch::x86_64::*;

use super::{Dots, FOLD};
use crate::kernels::lanes::{Avx2, Avx512, MAX_WIDTH};

// SAFETY: 8 lanes, as in `Lanes`. Loads and stores touch 32 bytes, `transpose` the `count` bytes that it is allowed to.
unsafe impl Dots for Avx2 {
    type Integers = __m256i;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: needs AVX, which the caller promises, with 32 readable bytes. `loadu` may be unaligned.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const u8, count: usize) -> __m256i {
        let mut bytes = [0_u8; 32];
        // SAFETY: needs AVX, which the caller promises, with `count` readable bytes. 32 fit.
        unsafe {
            from.copy_to_nonoverlapping(bytes.as_mut_ptr(), count.min(32));
            Self::load(bytes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u8, value: __m256i) {
        // SAFETY: needs AVX, which the caller promises, with 32 writable bytes. `storeu` may be unaligned.
        unsafe { _mm256_storeu_si256(to.cast(), value) }
    }

    #[inline(always)]
    unsafe fn spread(value: i32) -> __m256i {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_set1_epi32(value) }
    }

    #[inline(always)]
    unsafe fn floats(value: __m256i) -> __m256 {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_cvtepi32_ps(value) }
    }

    #[inline(always)]
    unsafe fn low(bytes: __m256i) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe { _mm256_and_si256(bytes, _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn high(bytes: __m256i) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe { _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(sum: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            if BITS < 8 {
                let pairs = _mm256_maddubs_epi16(unsigned, signed);
                return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
            }
            // `maddubs` saturates at 2¹⁵, which two products of 8 bits may exceed: add the highest bit apart.
            let most = _mm256_maddubs_epi16(_mm256_and_si256(unsigned, _mm256_set1_epi8(0x7f)), signed);
            let highest = _mm256_and_si256(_mm256_srli_epi16::<7>(unsigned), _mm256_set1_epi8(1));
            let highest = _mm256_maddubs_epi16(highest, signed);
            let sum = _mm256_add_epi32(sum, _mm256_madd_epi16(most, ones));
            _mm256_add_epi32(sum, _mm256_madd_epi16(highest, _mm256_set1_epi16(128)))
        }
    }

    #[inline(always)]
    unsafe fn add_product(sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)) }
    }

    #[inline(always)]
    unsafe fn fold([a, b, c, d]: [__m256i; FOLD]) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe { _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d)) }
    }

    #[inline(always)]
    unsafe fn add_neighbours(a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe {
            let even = _mm256_permute2x128_si256::<0x20>(a, b);
            _mm256_add_epi32(even, _mm256_permute2x128_si256::<0x31>(a, b))
        }
    }

    #[inline(always)]
    unsafe fn folded(numbers: __m256i) -> __m256 {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe {
            let order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
            _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(numbers, order))
        }
    }

    #[inline(always)]
    unsafe fn folded_bits<const BITS: usize>(numbers: __m256i) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe {
            // The first eight bytes in all lanes that need them: with 4 bits, all eight numbers are in the first four.
            let words = _mm256_broadcastq_epi64(_mm256_castsi256_si128(numbers));
            let (words, shifts) = if BITS == 4 {
                (_mm256_shuffle_epi32::<0>(words), _mm256_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28))
            } else {
                (_mm256_shuffle_epi32::<0b01_01_00_00>(words), _mm256_setr_epi32(0, 16, 0, 16, 8, 24, 8, 24))
            };
            _mm256_and_si256(_mm256_srlv_epi32(words, shifts), _mm256_set1_epi32((1 << BITS) - 1))
        }
    }

    #[inline(always)]
    unsafe fn field<const BITS: usize>(words: __m256i, from: usize) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe {
            let moved = _mm256_srl_epi32(words, _mm_cvtsi64_si128(from as i64));
            _mm256_and_si256(moved, _mm256_set1_epi32((1 << BITS) - 1))
        }
    }

    #[inline(always)]
    unsafe fn transpose(columns: &[*const u8; MAX_WIDTH], count: usize, to: *mut u8) {
        // SAFETY: needs AVX2, which the caller promises, with `count` readable bytes in each column and room for 8
        // vectors. `part` holds a whole vector.
        unsafe {
            let mut rows = [_mm256_setzero_si256(); 8];
            for i in 0..8 {
                rows[i] = if count >= 32 {
                    Self::load(columns[i])
                } else {
                    let mut part = [0_u8; 32];
                    columns[i].copy_to_nonoverlapping(part.as_mut_ptr(), count);
                    Self::load(part.as_ptr())
                };
            }
            let low = transpose_groups_256([rows[0], rows[1], rows[2], rows[3]]);
            let high = transpose_groups_256([rows[4], rows[5], rows[6], rows[7]]);
            for i in 0..4 {
                Self::store(to.add(32 * i), _mm256_permute2x128_si256::<0x20>(low[i], high[i]));
                Self::store(to.add(32 * (i + 4)), _mm256_permute2x128_si256::<0x31>(low[i], high[i]));
            }
        }
    }
}

/// Transposes the 4 by 4 lanes of each group.
#[inline(always)]
unsafe fn transpose_groups_256([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
    unsafe {
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let (ab2, cd2) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(ab, cd),
            _mm256_unpackhi_epi64(ab, cd),
            _mm256_unpacklo_epi64(ab2, cd2),
            _mm256_unpackhi_epi64(ab2, cd2),
        ]
    }
}

// SAFETY: 16 lanes, as in `Lanes`. Loads and stores touch 64 bytes, `transpose` the `count` bytes that it is allowed to.
unsafe impl Dots for Avx512 {
    type Integers = __m512i;
    const ROWS: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises, with 64 readable bytes. `loadu` may be unaligned.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const u8, count: usize) -> __m512i {
        let read = if count < 64 { (1 << count) - 1 } else { u64::MAX };
        // SAFETY: needs AVX-512BW, which the caller promises, with `count` readable bytes; no others are read.
        unsafe { _mm512_maskz_loadu_epi8(read, from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u8, value: __m512i) {
        // SAFETY: needs AVX-512F, which the caller promises, with 64 writable bytes. `storeu` may be unaligned.
        unsafe { _mm512_storeu_si512(to.cast(), value) }
    }

    #[inline(always)]
    unsafe fn spread(value: i32) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    unsafe fn floats(value: __m512i) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe { _mm512_cvtepi32_ps(value) }
    }

    #[inline(always)]
    unsafe fn low(bytes: __m512i) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe { _mm512_and_si512(bytes, _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn high(bytes: __m512i) -> __m512i {
        // SAFETY: needs AVX-512BW, which the caller promises. Only registers are touched.
        unsafe { _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(sum: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
        // SAFETY: needs AVX-512 VNNI, which the caller promises. Only registers are touched.
        unsafe { _mm512_dpbusd_epi32(sum, unsigned, signed) }
    }

    #[inline(always)]
    unsafe fn add_product(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: needs AVX-512 VNNI, which the caller promises. Only registers are touched.
        unsafe { _mm512_dpwssd_epi32(sum, a, b) }
    }

    #[inline(always)]
    unsafe fn fold(columns: [__m512i; FOLD]) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe {
            let [a, b, c, d] = columns;
            let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
        }
    }

    #[inline(always)]
    unsafe fn add_neighbours(a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe {
            let even = _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b);
            _mm512_add_epi32(even, _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b))
        }
    }

    #[inline(always)]
    unsafe fn folded(numbers: __m512i) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe {
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_castsi512_ps(_mm512_permutexvar_epi32(order, numbers))
        }
    }

    #[inline(always)]
    unsafe fn folded_bits<const BITS: usize>(numbers: __m512i) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe {
            let first = _mm512_castsi512_si128(numbers);
            let (words, shifts) = if BITS == 4 {
                // Eight numbers in each word.
                let words = _mm512_shuffle_epi32::<0b01_01_00_00>(_mm512_broadcastq_epi64(first));
                let shifts = _mm512_setr_epi32(0, 16, 0, 16, 4, 20, 4, 20, 8, 24, 8, 24, 12, 28, 12, 28);
                (words, shifts)
            } else {
                let shifts = _mm512_setr_epi32(0, 0, 0, 0, 8, 8, 8, 8, 16, 16, 16, 16, 24, 24, 24, 24);
                (_mm512_broadcast_i32x4(first), shifts)
            };
            _mm512_and_si512(_mm512_srlv_epi32(words, shifts), _mm512_set1_epi32((1 << BITS) - 1))
        }
    }

    #[inline(always)]
    unsafe fn field<const BITS: usize>(words: __m512i, from: usize) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe {
            let moved = _mm512_srl_epi32(words, _mm_cvtsi64_si128(from as i64));
            _mm512_and_si512(moved, _mm512_set1_epi32((1 << BITS) - 1))
        }
    }

    #[inline(always)]
    unsafe fn transpose(columns: &[*const u8; MAX_WIDTH], count: usize, to: *mut u8) {
        let read = u64::MAX >> (64 - count.clamp(1, 64));
        // SAFETY: needs AVX-512BW, which the caller promises, with `count` readable bytes in each column, of which at
        // least one is asked for, and room for 16 vectors.
        unsafe {
            // Indexed by lane of its group, then by group of columns.
            let mut groups = [[_mm512_setzero_si512(); 4]; 4];
            for group in 0..4 {
                let mut rows = [_mm512_setzero_si512(); 4];
                for (row, column) in rows.iter_mut().zip(&columns[4 * group..]) {
                    *row = _mm512_maskz_loadu_epi8(read, column.cast());
                }
                for (lane, vector) in transpose_groups_512(rows).into_iter().enumerate() {
                    groups[lane][group] = vector;
                }
            }
            for (i, [a, b, c, d]) in groups.into_iter().enumerate() {
                let (ab, cd) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0x44>(c, d));
                let (ab2, cd2) = (_mm512_shuffle_i32x4::<0xee>(a, b), _mm512_shuffle_i32x4::<0xee>(c, d));
                Self::store(to.add(64 * i), _mm512_shuffle_i32x4::<0x88>(ab, cd));
                Self::store(to.add(64 * (i + 4)), _mm512_shuffle_i32x4::<0xdd>(ab, cd));
                Self::store(to.add(64 * (i + 8)), _mm512_shuffle_i32x4::<0x88>(ab2, cd2));
                Self::store(to.add(64 * (i + 12)), _mm512_shuffle_i32x4::<0xdd>(ab2, cd2));
            }
        }
    }
}

/// Transposes the 4 by 4 lanes of each group.
#[inline(always)]
unsafe fn transpose_groups_512([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
    unsafe {
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        let (ab2, cd2) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab, cd),
            _mm512_unpackhi_epi64(ab, cd),
            _mm512_unpacklo_epi64(ab2, cd2),
            _mm512_unpackhi_epi64(ab2, cd2),
        ]
    }
}
