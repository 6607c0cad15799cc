//! Dot products of bytes with sums in i32 lanes, per instruction set, next to the float lanes of [`Lanes`].

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Lanes, Portable};

/// # Safety
/// Every function needs the instruction set in the implementation's name, `Avx512` with VNNI. Pointers are valid for
/// four bytes per lane, unless the function says otherwise, and need no alignment.
#[allow(clippy::missing_safety_doc)] // All functions share the contract above.
pub unsafe trait Dots: Lanes {
    /// i32 lanes, as many as a vector of f32 has, or four bytes in each.
    type Integers: Copy;
    /// Rows for which sums of one column per lane fit the registers, both in i32 and in f32.
    const ROWS: usize;

    unsafe fn load(from: *const u8) -> Self::Integers;
    /// One byte for each lane, as a number from 0 to 255.
    unsafe fn widen(from: *const u8) -> Self::Integers;
    unsafe fn spread(value: i32) -> Self::Integers;
    unsafe fn floats(value: Self::Integers) -> Self::Vector;
    /// The low half of each byte.
    unsafe fn low(bytes: Self::Integers) -> Self::Integers;
    /// The high half of each byte, as a number below 16.
    unsafe fn high(bytes: Self::Integers) -> Self::Integers;
    /// sum + Σ unsigned · signed over the four bytes of each lane. Unsigned bytes are below 2^`BITS`.
    unsafe fn dot<const BITS: usize>(
        sum: Self::Integers,
        unsigned: Self::Integers,
        signed: Self::Integers,
    ) -> Self::Integers;
    /// sum + a · b for lanes of a from 0 to 2¹⁵ − 1 and of b from −2¹⁵ to 2¹⁵ − 1.
    unsafe fn add_product(sum: Self::Integers, a: Self::Integers, b: Self::Integers) -> Self::Integers;
}

/// The implementations of [`Dots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DotSet {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

/// Work written against [`Dots`].
pub trait DotWork {
    type Output;

    /// Mark it `#[inline(always)]`, so that it is compiled with the target features of its caller.
    ///
    /// # Safety
    /// The CPU supports `L`, and the work's own requirements hold.
    unsafe fn run<L: Dots>(self) -> Self::Output;
}

impl DotSet {
    /// All that this CPU supports, the fastest last.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        [
            Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            has_avx2().then_some(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            (has_avx2() && has_vnni()).then_some(Self::Vnni),
        ]
        .into_iter()
        .flatten()
    }

    pub fn fastest() -> Self {
        Self::available().next_back().unwrap_or(Self::Portable)
    }

    /// Whether one instruction multiplies and adds all four bytes of each lane.
    pub fn has_dot_instruction(self) -> bool {
        match self {
            Self::Portable => false,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => false,
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => true,
        }
    }

    /// Its lanes, and its [`Dots::ROWS`].
    pub fn tile(self) -> (usize, usize) {
        match self {
            Self::Portable => (Portable::WIDTH, Portable::ROWS),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => (Avx2::WIDTH, Avx2::ROWS),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => (Avx512::WIDTH, Avx512::ROWS),
        }
    }

    /// # Safety
    /// `self` is one of [`Self::available`], and the work's own requirements hold.
    pub unsafe fn run<W: DotWork>(self, work: W) -> W::Output {
        match self {
            // SAFETY: `Portable` runs on every CPU. The caller promises the work's own requirements.
            Self::Portable => unsafe { work.run::<Portable>() },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `self` is available, so `has_avx2` found its features. The caller promises the rest.
            Self::Avx2 => unsafe { avx2(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `self` is available, so `has_vnni` found its features. The caller promises the rest.
            Self::Vnni => unsafe { vnni(work) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<W: DotWork>(work: W) -> W::Output {
    // SAFETY: `Avx2` needs just the features of this function. The caller promises the work's own requirements.
    unsafe { work.run::<Avx2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn vnni<W: DotWork>(work: W) -> W::Output {
    // SAFETY: `Avx512` needs just the features of this function. The caller promises the work's own requirements.
    unsafe { work.run::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
fn has_vnni() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}
