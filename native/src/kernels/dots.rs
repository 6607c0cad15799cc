//! Dot products of bytes with exact sums in i32 lanes, per instruction set, next to the float lanes of [`Lanes`].

#![allow(clippy::needless_range_loop)] // Iterators over vectors are not compiled with the caller's instructions.

#[cfg(target_arch = "aarch64")]
mod arm64;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub use arm64::Neon;
#[cfg(target_arch = "x86_64")]
pub use x86::Vnni256;

use super::lanes::Lanes;

/// Columns whose codes lie together: a word of four codes of each column, then the next word of each.
pub const PANEL: usize = 16;
/// Codes of a column that share a scale and a zero point.
pub const BLOCK: usize = 32;

pub type FloatsOf<L> = <<L as Dots>::Floats as Lanes>::Vector;

/// # Safety
/// Every function needs the instruction set in the implementation's name. Pointers are valid for what the function reads
/// and need no alignment.
#[allow(clippy::missing_safety_doc)] // All functions share the contract above.
pub unsafe trait Dots: Sized {
    /// The instruction set's float lanes: 8 or 16.
    type Floats: Lanes;
    /// i32 lanes, as many as `Floats` has.
    type Integers: Copy;
    /// Rows for which the sums of a panel fit the registers.
    const ROWS: usize;

    /// What [`Dots::dot`] subtracts from codes of 8 bits: 128 where an instruction only has signed bytes.
    const BIAS: i32 = 0;

    /// Four bytes for each lane.
    unsafe fn load(from: *const u8) -> Self::Integers;
    unsafe fn spread(value: i32) -> Self::Integers;
    unsafe fn floats(value: Self::Integers) -> FloatsOf<Self>;
    /// The low half of each byte.
    unsafe fn low(bytes: Self::Integers) -> Self::Integers;
    /// The high half of each byte, as a number below 16.
    unsafe fn high(bytes: Self::Integers) -> Self::Integers;
    /// sum + Σ code · signed over the four bytes of each lane. Codes are below 2^`BITS`, less [`Dots::BIAS`] with 8 bits.
    /// Signed bytes are at least −127.
    unsafe fn dot<const BITS: usize>(
        sum: Self::Integers,
        codes: Self::Integers,
        signed: Self::Integers,
    ) -> Self::Integers;
    /// Zero points of a panel's vector `v`, less [`Dots::BIAS`] with 8 bits. With 4 bits, a byte has that of a column in
    /// the panel's first half, and above it that of the column half a panel on.
    unsafe fn zeros<const BITS: usize>(from: *const u8, v: usize) -> Self::Integers;
    /// sum + zeros · b, for b from −2¹⁵ to 2¹⁵ − 1.
    unsafe fn add_zeros(sum: Self::Integers, zeros: Self::Integers, b: Self::Integers) -> Self::Integers;
    /// float(dot) · scale + sum, which rounds the dot product and then the sum.
    unsafe fn add_scaled(dot: Self::Integers, scale: FloatsOf<Self>, sum: FloatsOf<Self>) -> FloatsOf<Self>;

    /// Dot products, as of [`Dots::dot`], of a block of [`PANEL`] columns, in `V` vectors, with each of `R` rows of
    /// [`BLOCK`] activations. With 4 bits, the activations of all bytes' low halves come first. Prefetches codes `ahead`
    /// bytes on.
    #[inline(always)]
    unsafe fn block<const BITS: usize, const R: usize, const V: usize>(
        codes: *const u8,
        ahead: usize,
        rows: *const u8,
    ) -> [[Self::Integers; V]; R] {
        // SAFETY: the caller promises the codes and the rows, and a CPU with these instructions.
        unsafe { by_words::<Self, BITS, R, V>(codes, ahead, rows) }
    }
}

/// [`Dots::block`], word by word.
#[inline(always)]
unsafe fn by_words<L: Dots, const BITS: usize, const R: usize, const V: usize>(
    codes: *const u8,
    ahead: usize,
    rows: *const u8,
) -> [[L::Integers; V]; R] {
    // SAFETY: the caller promises the codes and the rows, and a CPU with `L`.
    unsafe {
        let mut dots = [[L::spread(0); V]; R];
        for i in 0..BITS {
            let mut words = [L::spread(0); V];
            for v in 0..V {
                words[v] = L::load(codes.add(4 * (PANEL * i + L::Floats::WIDTH * v)));
            }
            L::Floats::prefetch(codes.wrapping_add(4 * PANEL * i + ahead));
            if BITS == 8 {
                add::<L, BITS, R, V>(&mut dots, words, rows.add(4 * i));
                continue;
            }
            let mut high = words;
            for v in 0..V {
                (words[v], high[v]) = (L::low(words[v]), L::high(words[v]));
            }
            add::<L, BITS, R, V>(&mut dots, words, rows.add(4 * i));
            add::<L, BITS, R, V>(&mut dots, high, rows.add(BLOCK / 2 + 4 * i));
        }
        dots
    }
}

/// Adds the products of words of codes with four activations of each row; rows are [`BLOCK`] bytes apart.
#[inline(always)]
unsafe fn add<L: Dots, const BITS: usize, const R: usize, const V: usize>(
    dots: &mut [[L::Integers; V]; R],
    words: [L::Integers; V],
    rows: *const u8,
) {
    for r in 0..R {
        // SAFETY: the caller promises the rows and a CPU with `L`.
        unsafe {
            let four = L::spread(rows.add(r * BLOCK).cast::<i32>().read_unaligned());
            for v in 0..V {
                dots[r][v] = L::dot::<BITS>(dots[r][v], words[v], four);
            }
        }
    }
}
