use std::arch::x86_64::*;

use half::{bf16, f16};

use super::Lanes;

/// Needs avx2, fma and f16c.
pub struct Avx2;

/// Needs avx512f, avx512bw and avx512vl.
pub struct Avx512;

// SAFETY: a vector has 8 lanes, at most `MAX_WIDTH`. Loads and stores touch just these and need no alignment.
unsafe impl Lanes for Avx2 {
    const WIDTH: usize = 8;
    type Vector = __m256;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: needs FMA, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn power_of_two(n: __m256) -> __m256 {
        // SAFETY: needs AVX2, which the caller promises with `Avx2`. Only registers are touched.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    unsafe fn sum(a: __m256) -> f32 {
        // SAFETY: needs SSE3 and AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn sums([a, b, c, d]: [__m256; 4]) -> [f32; 4] {
        // SAFETY: needs AVX, which the caller promises with `Avx2`. The array has room for the four sums.
        unsafe {
            let pairs = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            let sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
            let mut out = [0.0; 4];
            _mm_storeu_ps(out.as_mut_ptr(), sums);
            out
        }
    }

    #[inline(always)]
    unsafe fn highest(a: __m256) -> f32 {
        // SAFETY: needs SSE3 and AVX, which the caller promises with `Avx2`. Only registers are touched.
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn prefetch(address: *const u8) {
        // SAFETY: needs SSE, which every x86-64 has. A prefetch never faults, so `address` may be any.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }

    #[inline(always)]
    unsafe fn load_f32(from: *const f32) -> __m256 {
        // SAFETY: needs AVX, which the caller promises, with 8 readable f32 at `from`. `loadu` may be unaligned.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> __m256 {
        // SAFETY: needs F16C, which the caller promises, with 8 readable f16 at `from`. `loadu` may be unaligned.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> __m256 {
        // SAFETY: needs AVX2, which the caller promises, with 8 readable bf16 at `from`. `loadu` may be unaligned.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn store_f32(to: *mut f32, value: __m256) {
        // SAFETY: needs AVX, which the caller promises, with 8 writable f32 at `to`. `storeu` may be unaligned.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut f16, value: __m256) {
        // SAFETY: needs F16C, which the caller promises, with 8 writable f16 at `to`. `storeu` may be unaligned.
        unsafe { _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)) }
    }

    #[inline(always)]
    unsafe fn store_bf16(to: *mut bf16, value: __m256) {
        // SAFETY: needs AVX2, which the caller promises, with 8 writable bf16 at `to`. `storeu` may be unaligned.
        unsafe {
            let bits = _mm256_castps_si256(value);
            let even = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let bias = _mm256_add_epi32(even, _mm256_set1_epi32(0x7fff));
            let rounded = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, bias));
            // Rounding could turn a NaN into infinity: keep it and make it quiet.
            let nan = _mm256_or_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(0x40));
            let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
            let words = _mm256_blendv_epi8(rounded, nan, is_nan);
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(words, words));
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(packed));
        }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> __m256 {
        // SAFETY: needs AVX2, which the caller promises, with 8 readable bytes at `from`.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, value: __m256) {
        // SAFETY: needs AVX2, which the caller promises, with 8 writable bytes at `to`.
        unsafe {
            let whole = _mm256_cvtps_epi32(value);
            let (low, high) = (_mm256_castsi256_si128(whole), _mm256_extracti128_si256::<1>(whole));
            let words = _mm_packs_epi32(low, high);
            _mm_storel_epi64(to.cast(), _mm_packs_epi16(words, words));
        }
    }
}

// SAFETY: a vector has 16 lanes, at most `MAX_WIDTH`. Loads and stores touch just these and need no alignment.
unsafe impl Lanes for Avx512 {
    const WIDTH: usize = 16;
    type Vector = __m512;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn power_of_two(n: __m512) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    unsafe fn sum(a: __m512) -> f32 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_reduce_add_ps(a) }
    }

    #[inline(always)]
    unsafe fn sums(vectors: [__m512; 4]) -> [f32; 4] {
        // SAFETY: needs AVX-512F and AVX, which the caller promises with `Avx512`. Only registers are touched.
        unsafe {
            let mut halves = [_mm256_setzero_ps(); 4];
            // Not map: its closure would not be compiled with these instructions.
            for i in 0..4 {
                let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(vectors[i])));
                halves[i] = _mm256_add_ps(_mm512_castps512_ps256(vectors[i]), high);
            }
            Avx2::sums(halves)
        }
    }

    #[inline(always)]
    unsafe fn highest(a: __m512) -> f32 {
        // SAFETY: needs AVX-512F, which the caller promises with `Avx512`. Only registers are touched.
        unsafe { _mm512_reduce_max_ps(a) }
    }

    #[inline(always)]
    unsafe fn prefetch(address: *const u8) {
        // SAFETY: needs SSE, which every x86-64 has. A prefetch never faults, so `address` may be any.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) }
    }

    #[inline(always)]
    unsafe fn load_f32(from: *const f32) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 readable f32 at `from`. `loadu` may be unaligned.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 readable f16 at `from`. `loadu` may be unaligned.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 readable bf16 at `from`. `loadu` may be unaligned.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn store_f32(to: *mut f32, value: __m512) {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 writable f32 at `to`. `storeu` may be unaligned.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut f16, value: __m512) {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 writable f16 at `to`. `storeu` may be unaligned.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)) }
    }

    #[inline(always)]
    unsafe fn store_bf16(to: *mut bf16, value: __m512) {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 writable bf16 at `to`. `storeu` may be unaligned.
        unsafe {
            let bits = _mm512_castps_si512(value);
            let even = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let bias = _mm512_add_epi32(even, _mm512_set1_epi32(0x7fff));
            let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, bias));
            // Rounding could turn a NaN into infinity: keep it and make it quiet.
            let nan = _mm512_or_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(0x40));
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
            let words = _mm512_mask_blend_epi32(is_nan, rounded, nan);
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(words));
        }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 readable bytes at `from`. `loadu` may be unaligned.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, value: __m512) {
        // SAFETY: needs AVX-512F, which the caller promises, with 16 writable bytes at `to`. `storeu` may be unaligned.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value))) }
    }
}
