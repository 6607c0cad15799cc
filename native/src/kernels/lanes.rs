//! A vector of f32 lanes per instruction set. Kernels are written once against [`Lanes`] and inlined into one
//! entry point per set, which alone carries the `target_feature` attribute.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

use half::{bf16, f16};

/// The widest vector of any set; scratch rows for tails are this long.
pub const MAX_WIDTH: usize = 16;

/// # Safety
/// Every function needs the instruction set that the implementation is named after; pointers are valid for
/// `WIDTH` elements and need no alignment.
#[allow(clippy::missing_safety_doc)] // One contract for all: the one above.
pub unsafe trait Lanes {
    const WIDTH: usize;
    type Vector: Copy;

    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The greater one; b where either is NaN.
    unsafe fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b + c
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// 2ⁿ of whole numbers n in −126..=127
    unsafe fn power_of_two(n: Self::Vector) -> Self::Vector;
    /// Of all lanes.
    unsafe fn sum(a: Self::Vector) -> f32;
    /// The greatest lane; any where one is NaN.
    unsafe fn highest(a: Self::Vector) -> f32;
    /// Asks for the cache line of an address that will be read soon, or that does not exist.
    unsafe fn prefetch(address: *const u8);

    unsafe fn load_f32(from: *const f32) -> Self::Vector;
    unsafe fn load_f16(from: *const f16) -> Self::Vector;
    unsafe fn load_bf16(from: *const bf16) -> Self::Vector;
    unsafe fn store_f32(to: *mut f32, value: Self::Vector);
    unsafe fn store_f16(to: *mut f16, value: Self::Vector);
    unsafe fn store_bf16(to: *mut bf16, value: Self::Vector);
}
