use std::arch::x86_64::*;

use super::Dots;
use crate::kernels::lanes::{Avx2, Avx512};

// SAFETY: 8 lanes, as in `Lanes`. Loads touch 32 bytes, `widen` 8.
unsafe impl Dots for Avx2 {
    type Integers = __m256i;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: needs AVX, which the caller promises, with 32 readable bytes. `loadu` may be unaligned.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn widen(from: *const u8) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises, with 8 readable bytes.
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast())) }
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
}

// SAFETY: 16 lanes, as in `Lanes`. Loads touch 64 bytes, `widen` 16.
unsafe impl Dots for Avx512 {
    type Integers = __m512i;
    const ROWS: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises, with 64 readable bytes. `loadu` may be unaligned.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn widen(from: *const u8) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 readable bytes.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())) }
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
}
