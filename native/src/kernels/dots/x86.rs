use std::arch::x86_64::*;

use super::{BLOCK, Dots, PANEL};
use crate::kernels::lanes::{Avx2, Avx512, Lanes};

// SAFETY: 8 lanes, as in `Lanes`. `load` touches 32 bytes, `zeros` 8 behind those of vectors before.
unsafe impl Dots for Avx2 {
    type Floats = Self;
    type Integers = __m256i;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: needs AVX, which the caller promises, with 32 readable bytes. `loadu` may be unaligned.
        unsafe { _mm256_loadu_si256(from.cast()) }
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
    unsafe fn dot<const BITS: usize>(sum: __m256i, codes: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            if BITS < 8 {
                let pairs = _mm256_maddubs_epi16(codes, signed);
                return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
            }
            // `maddubs` saturates at 2¹⁵, which two products of 8 bits may exceed: add the highest bit apart.
            let most = _mm256_maddubs_epi16(_mm256_and_si256(codes, _mm256_set1_epi8(0x7f)), signed);
            let highest = _mm256_and_si256(_mm256_srli_epi16::<7>(codes), _mm256_set1_epi8(1));
            let highest = _mm256_maddubs_epi16(highest, signed);
            let sum = _mm256_add_epi32(sum, _mm256_madd_epi16(most, ones));
            _mm256_add_epi32(sum, _mm256_madd_epi16(highest, _mm256_set1_epi16(128)))
        }
    }

    #[inline(always)]
    unsafe fn zeros<const BITS: usize>(from: *const u8, v: usize) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises, with the panel's zero points.
        unsafe {
            if BITS == 8 {
                return _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(v * Self::WIDTH).cast()));
            }
            let pairs = _mm_loadl_epi64(from.cast());
            let zeros = if v == 0 { pairs } else { _mm_srli_epi16::<4>(pairs) };
            _mm256_cvtepu8_epi32(_mm_and_si128(zeros, _mm_set1_epi8(15)))
        }
    }

    #[inline(always)]
    unsafe fn add_zeros(sum: __m256i, zeros: __m256i, b: __m256i) -> __m256i {
        // SAFETY: needs AVX2, which the caller promises. Only registers are touched.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(zeros, b)) }
    }

    #[inline(always)]
    unsafe fn add_scaled(dot: __m256i, scale: __m256, sum: __m256) -> __m256 {
        // SAFETY: needs AVX and FMA, which the caller promises with `Avx2`. Only registers are touched.
        unsafe { _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, sum) }
    }

    /// In 16 bits, which hold a block's sum of pairs of products of half bytes: 8 · 2 · 15 · 127 < 2¹⁵. Pairs of products
    /// of whole bytes would saturate, so codes of 8 bits are added up half by half.
    #[inline(always)]
    unsafe fn block<const BITS: usize, const R: usize, const V: usize>(
        codes: *const u8,
        ahead: usize,
        rows: *const u8,
    ) -> [[__m256i; V]; R] {
        // SAFETY: the caller promises the codes, the rows and AVX2.
        unsafe {
            let mut dots = [[Self::spread(0); V]; R];
            for half in 0..BITS / 4 {
                let mut pairs = [[Self::spread(0); V]; R];
                for i in 0..BITS {
                    let (mut low, mut high) = ([Self::spread(0); V], [Self::spread(0); V]);
                    for v in 0..V {
                        let word = Self::load(codes.add(4 * (PANEL * i + Self::WIDTH * v)));
                        (low[v], high[v]) = (Self::low(word), Self::high(word));
                    }
                    if half == 0 {
                        Self::prefetch(codes.wrapping_add(4 * PANEL * i + ahead));
                        add_pairs(&mut pairs, low, rows.add(4 * i));
                    }
                    if BITS == 4 {
                        add_pairs(&mut pairs, high, rows.add(BLOCK / 2 + 4 * i));
                    } else if half == 1 {
                        add_pairs(&mut pairs, high, rows.add(4 * i));
                    }
                }
                let factor = _mm256_set1_epi16(if half == 0 { 1 } else { 16 });
                for r in 0..R {
                    for v in 0..V {
                        dots[r][v] = _mm256_add_epi32(dots[r][v], _mm256_madd_epi16(pairs[r][v], factor));
                    }
                }
            }
            dots
        }
    }
}

/// Adds the products of half bytes with four activations of each row, pair by pair.
#[inline(always)]
unsafe fn add_pairs<const R: usize, const V: usize>(
    pairs: &mut [[__m256i; V]; R],
    halves: [__m256i; V],
    rows: *const u8,
) {
    for r in 0..R {
        // SAFETY: the caller promises AVX2, and rows which are `BLOCK` bytes apart.
        unsafe {
            let four = _mm256_set1_epi32(rows.add(r * BLOCK).cast::<i32>().read_unaligned());
            for v in 0..V {
                pairs[r][v] = _mm256_add_epi16(pairs[r][v], _mm256_maddubs_epi16(halves[v], four));
            }
        }
    }
}

/// `vpdpbusd` on 256 bits: in AVX-VNNI's encoding, or else in that of AVX-512 VNNI with VL. Next to it needs what [`Avx2`]
/// does.
pub struct Vnni256<const IS_VEX: bool>;

// SAFETY: as `Avx2`.
unsafe impl<const IS_VEX: bool> Dots for Vnni256<IS_VEX> {
    type Floats = Avx2;
    type Integers = __m256i;
    const ROWS: usize = Avx2::ROWS;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m256i {
        // SAFETY: the caller's promises include those of `Avx2`.
        unsafe { Avx2::load(from) }
    }

    #[inline(always)]
    unsafe fn spread(value: i32) -> __m256i {
        // SAFETY: the caller's promises include those of `Avx2`.
        unsafe { Avx2::spread(value) }
    }

    #[inline(always)]
    unsafe fn floats(value: __m256i) -> __m256 {
        // SAFETY: the caller's promises include those of `Avx2`.
        unsafe { Avx2::floats(value) }
    }

    #[inline(always)]
    unsafe fn low(bytes: __m256i) -> __m256i {
        // SAFETY: the caller's promises include those of `Avx2`.
        unsafe { Avx2::low(bytes) }
    }

    #[inline(always)]
    unsafe fn high(bytes: __m256i) -> __m256i {
        // SAFETY: the caller's promises include those of `Avx2`.
        unsafe { Avx2::high(bytes) }
    }

    #[inline(always)]
    unsafe fn dot<const BITS: usize>(sum: __m256i, codes: __m256i, signed: __m256i) -> __m256i {
        // SAFETY: needs the instruction in this encoding, which the caller promises. Only registers are touched.
        unsafe {
            if IS_VEX {
                _mm256_dpbusd_avx_epi32(sum, codes, signed)
            } else {
                _mm256_dpbusd_epi32(sum, codes, signed)
            }
        }
    }

    #[inline(always)]
    unsafe fn zeros<const BITS: usize>(from: *const u8, v: usize) -> __m256i {
        // SAFETY: the caller's promises include those of `Avx2`.
        unsafe { Avx2::zeros::<BITS>(from, v) }
    }

    #[inline(always)]
    unsafe fn add_zeros(sum: __m256i, zeros: __m256i, b: __m256i) -> __m256i {
        // SAFETY: the caller's promises include those of `Avx2`.
        unsafe { Avx2::add_zeros(sum, zeros, b) }
    }

    #[inline(always)]
    unsafe fn add_scaled(dot: __m256i, scale: __m256, sum: __m256) -> __m256 {
        // SAFETY: the caller's promises include those of `Avx2`.
        unsafe { Avx2::add_scaled(dot, scale, sum) }
    }
}

// SAFETY: 16 lanes, as in `Lanes`. `load` touches 64 bytes, `zeros` 16, or 8 with 4 bits.
unsafe impl Dots for Avx512 {
    type Floats = Self;
    type Integers = __m512i;
    const ROWS: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises, with 64 readable bytes. `loadu` may be unaligned.
        unsafe { _mm512_loadu_si512(from.cast()) }
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
    unsafe fn dot<const BITS: usize>(sum: __m512i, codes: __m512i, signed: __m512i) -> __m512i {
        // SAFETY: needs AVX-512 VNNI, which the caller promises. Only registers are touched.
        unsafe { _mm512_dpbusd_epi32(sum, codes, signed) }
    }

    #[inline(always)]
    unsafe fn zeros<const BITS: usize>(from: *const u8, _: usize) -> __m512i {
        // SAFETY: needs AVX-512F, which the caller promises, with the panel's zero points: one vector has them all.
        unsafe {
            if BITS == 8 {
                return _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()));
            }
            let pairs = _mm_loadl_epi64(from.cast());
            let both = _mm_unpacklo_epi64(pairs, _mm_srli_epi16::<4>(pairs));
            _mm512_cvtepu8_epi32(_mm_and_si128(both, _mm_set1_epi8(15)))
        }
    }

    #[inline(always)]
    unsafe fn add_zeros(sum: __m512i, zeros: __m512i, b: __m512i) -> __m512i {
        // SAFETY: needs AVX-512 VNNI, which the caller promises. Only registers are touched.
        unsafe { _mm512_dpwssd_epi32(sum, zeros, b) }
    }

    #[inline(always)]
    unsafe fn add_scaled(dot: __m512i, scale: __m512, sum: __m512) -> __m512 {
        // SAFETY: needs AVX-512F, which the caller promises. Only registers are touched.
        unsafe { _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, sum) }
    }
}
