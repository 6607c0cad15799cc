//! The vector instruction sets of this CPU, and code compiled for them: [`InstructionSet`] for floats, [`DotSet`] for dot
//! products of bytes. Both use the fastest one, unless [`DotSet::force`] named another.

use std::sync::atomic::{AtomicU8, Ordering};

use super::dots::Dots;
#[cfg(target_arch = "aarch64")]
use super::dots::Neon;
#[cfg(target_arch = "x86_64")]
use super::dots::Vnni256;
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
        let fastest = Self::available().next_back().unwrap_or(Self::Portable);
        DotSet::forced().map_or(fastest, DotSet::floats)
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

/// Instruction sets for dot products of bytes, the fastest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DotSet {
    Portable = 1,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX-VNNI's instructions in AVX-512's encoding, for tests and comparisons.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni256,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "aarch64")]
    NeonDotprod,
    #[cfg(target_arch = "aarch64")]
    NeonI8mm,
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

/// The set that [`DotSet::force`] named, as a number; 0: none.
static FORCED: AtomicU8 = AtomicU8::new(0);

impl DotSet {
    /// All that this CPU supports, the fastest last.
    pub fn available() -> impl DoubleEndedIterator<Item = Self> {
        [
            Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            has_avx2().then_some(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            (has_avx2() && is_x86_feature_detected!("avxvnni")).then_some(Self::AvxVnni),
            #[cfg(target_arch = "x86_64")]
            (has_avx2() && has_avx512_vnni()).then_some(Self::Avx512Vnni256),
            #[cfg(target_arch = "x86_64")]
            has_avx512_vnni().then_some(Self::Avx512Vnni),
            #[cfg(target_arch = "aarch64")]
            std::arch::is_aarch64_feature_detected!("dotprod").then_some(Self::NeonDotprod),
            #[cfg(target_arch = "aarch64")]
            std::arch::is_aarch64_feature_detected!("i8mm").then_some(Self::NeonI8mm),
        ]
        .into_iter()
        .flatten()
    }

    pub fn fastest() -> Self {
        Self::forced().or(Self::available().next_back()).unwrap_or(Self::Portable)
    }

    /// Has everything that is made from now on use the set with this name, or without a name the fastest again. For tests
    /// and benchmarks. Fails with all names that this CPU has.
    pub fn force(name: Option<&str>) -> Result<(), String> {
        let set = name.map(|name| {
            Self::available().find(|set| set.name() == name).ok_or_else(|| {
                let names: Vec<_> = Self::available().map(Self::name).collect();
                format!("this CPU has no instruction set {name:?}, only {}", names.join(", "))
            })
        });
        FORCED.store(set.transpose()?.map_or(0, |set| set as u8), Ordering::Relaxed);
        Ok(())
    }

    pub fn is_forced() -> bool {
        Self::forced().is_some()
    }

    fn forced() -> Option<Self> {
        match FORCED.load(Ordering::Relaxed) {
            0 => None,
            number => Self::available().find(|set| *set as u8 == number),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni256 => "avx512-vnni-256",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => "neon-dotprod",
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => "neon-i8mm",
        }
    }

    /// The set of its float lanes.
    pub fn floats(self) -> InstructionSet {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni | Self::Avx512Vnni256 => InstructionSet::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => InstructionSet::Avx512,
            _ => InstructionSet::Portable,
        }
    }

    /// Its [`Dots::ROWS`].
    pub fn rows(self) -> usize {
        match self {
            Self::Portable => Portable::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni | Self::Avx512Vnni256 => Vnni256::<true>::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512::ROWS,
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => Neon::<false>::ROWS,
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => Neon::<true>::ROWS,
        }
    }

    /// # Safety
    /// `self` is one of [`Self::available`], and the work's own requirements hold.
    pub unsafe fn run<W: DotWork>(self, work: W) -> W::Output {
        // SAFETY: `self` is available, so the CPU has the features of the function that is called. `Portable` runs on every
        // CPU. The caller promises the work's own requirements.
        unsafe {
            match self {
                Self::Portable => work.run::<Portable>(),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => dots_avx2(work),
                #[cfg(target_arch = "x86_64")]
                Self::AvxVnni => dots_avx_vnni(work),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni256 => dots_avx512_vnni_256(work),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni => dots_avx512_vnni(work),
                #[cfg(target_arch = "aarch64")]
                Self::NeonDotprod => dots_neon_dotprod(work),
                #[cfg(target_arch = "aarch64")]
                Self::NeonI8mm => dots_neon_i8mm(work),
            }
        }
    }
}

/// Entry points: only they have the `target_feature` attribute, and the work is inlined into them.
macro_rules! dots {
    ($arch:literal, $name:ident, $features:literal, $set:ty) => {
        #[cfg(target_arch = $arch)]
        #[target_feature(enable = $features)]
        unsafe fn $name<W: DotWork>(work: W) -> W::Output {
            // SAFETY: the set needs just these features. The caller promises the work's own requirements.
            unsafe { work.run::<$set>() }
        }
    };
}

dots!("x86_64", dots_avx2, "avx2,fma,f16c", Avx2);
dots!("x86_64", dots_avx_vnni, "avx2,fma,f16c,avxvnni", Vnni256<true>);
dots!("x86_64", dots_avx512_vnni_256, "avx2,fma,f16c,avx512f,avx512vl,avx512vnni", Vnni256<false>);
dots!("x86_64", dots_avx512_vnni, "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni", Avx512);
dots!("aarch64", dots_neon_dotprod, "neon,dotprod", Neon<false>);
dots!("aarch64", dots_neon_i8mm, "neon,dotprod,i8mm", Neon<true>);

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

#[cfg(target_arch = "x86_64")]
fn has_avx512_vnni() -> bool {
    has_avx512() && is_x86_feature_detected!("avx512vnni")
}
