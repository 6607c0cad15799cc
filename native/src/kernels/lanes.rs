//! A vector of f32 lanes per instruction set. Kernels are written once against [`Lanes`] and inlined into one entry
//! point per set. Only the entry point has the `target_feature` attribute.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

use half::{bf16, f16};

/// Width of the widest vector; scratch rows for tails have this length.
pub const MAX_WIDTH: usize = 16;

/// # Safety
/// Every function needs the instruction set in the implementation's name. Pointers are valid for `WIDTH` elements and
/// need no alignment.
#[allow(clippy::missing_safety_doc)] // All functions share the contract above.
pub unsafe trait Lanes {
    const WIDTH: usize;
    type Vector: Copy;

    unsafe fn splat(value: f32) -> Self::Vector;
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The greater one; b if either is NaN.
    unsafe fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b + c
    unsafe fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// 2ⁿ for whole numbers n in −126..=127
    unsafe fn power_of_two(n: Self::Vector) -> Self::Vector;
    /// The sum of all lanes.
    unsafe fn sum(a: Self::Vector) -> f32;
    /// The sum of all lanes of each vector. Every vector's lanes are added in the same order.
    unsafe fn sums(vectors: [Self::Vector; 4]) -> [f32; 4];
    /// The greatest lane; any lane if one is NaN.
    unsafe fn highest(a: Self::Vector) -> f32;
    /// Prefetches the cache line of an address that will be read soon. The address need not be valid.
    unsafe fn prefetch(address: *const u8);

    unsafe fn load_f32(from: *const f32) -> Self::Vector;
    unsafe fn load_f16(from: *const f16) -> Self::Vector;
    unsafe fn load_bf16(from: *const bf16) -> Self::Vector;
    unsafe fn load_i8(from: *const i8) -> Self::Vector;
    unsafe fn store_f32(to: *mut f32, value: Self::Vector);
    unsafe fn store_f16(to: *mut f16, value: Self::Vector);
    unsafe fn store_bf16(to: *mut bf16, value: Self::Vector);
    /// Rounds to the nearest whole number, to the even one in the middle. Lanes beyond i8 and NaN become any number.
    unsafe fn store_i8(to: *mut i8, value: Self::Vector);
}
