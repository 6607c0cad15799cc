//! The vector instruction sets of this CPU, and code compiled for them.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{Lanes, Portable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Work written against [`Lanes`].
pub trait Vectorised {
    type Output;

    /// Mark it `#[inline(always)]`, so that it is compiled with the target features of its caller.
    ///
    /// # Safety
    /// The CPU supports `L`, and the work's own requirements hold.
    unsafe fn run<L: Lanes>(self) -> Self::Output;
}

impl InstructionSet {
    /// All instruction sets of this CPU, the fastest last.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        [
            Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            has_avx2().then_some(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            has_avx512().then_some(Self::Avx512),
        ]
        .into_iter()
        .flatten()
    }

    pub fn fastest() -> Self {
        Self::available().next_back().unwrap_or(Self::Portable)
    }

    /// # Safety
    /// `self` is one of [`Self::available`], and the work's own requirements hold.
    pub unsafe fn run<W: Vectorised>(self, work: W) -> W::Output {
        match self {
            // SAFETY: `Portable` runs on every CPU. The caller promises the work's own requirements.
            Self::Portable => unsafe { work.run::<Portable>() },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `self` is available, so `has_avx2` found its features. The caller promises the rest.
            Self::Avx2 => unsafe { avx2(work) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `self` is available, so `has_avx512` found its features. The caller promises the rest.
            Self::Avx512 => unsafe { avx512(work) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<W: Vectorised>(work: W) -> W::Output {
    // SAFETY: `Avx2` needs just the features of this function. The caller promises the work's own requirements.
    unsafe { work.run::<Avx2>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn avx512<W: Vectorised>(work: W) -> W::Output {
    // SAFETY: `Avx512` needs just the features of this function. The caller promises the work's own requirements.
    unsafe { work.run::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
}
