//! Loops over one row of elements, for kernels that need a row's mean or magnitude.

use super::element::Element;
use super::lanes::{Lanes, MAX_WIDTH};

/// Σ f(element) in f32, in a few parallel sums. Pads the last vector with `neutral`, for which f is zero.
///
/// # Safety
/// `row` is valid for reading `length` elements, and the CPU supports `L`.
#[inline(always)]
pub unsafe fn sum<L: Lanes, T: Element>(
    row: *const T,
    length: usize,
    neutral: f32,
    f: impl Fn(L::Vector) -> L::Vector,
) -> f32 {
    const CHAINS: usize = 4;
    // SAFETY: the caller promises `length` elements and a CPU with `L`. Whole vectors are read only while they end
    // within `length`; `load_part` reads just the rest. `lanes` holds the widest vector.
    unsafe {
        let mut sums = [L::splat(0.0); CHAINS];
        let mut at = 0;
        while at + CHAINS * L::WIDTH <= length {
            for (chain, sum) in sums.iter_mut().enumerate() {
                *sum = L::add(*sum, f(T::load::<L>(row.add(at + chain * L::WIDTH))));
            }
            at += CHAINS * L::WIDTH;
        }
        while at < length {
            let part = L::WIDTH.min(length - at);
            sums[0] = L::add(sums[0], f(load_part::<L, T>(row.add(at), part, neutral)));
            at += part;
        }
        let mut lanes = [0.0_f32; MAX_WIDTH];
        L::store_f32(lanes.as_mut_ptr(), L::add(L::add(sums[0], sums[1]), L::add(sums[2], sums[3])));
        lanes[..L::WIDTH].iter().sum()
    }
}

/// out[i] = f(row[i])
///
/// # Safety
/// `row` is valid for reading and `out` for writing `length` elements; they are equal or do not overlap. The CPU
/// supports `L`.
#[inline(always)]
pub unsafe fn map<L: Lanes, T: Element>(
    row: *const T,
    out: *mut T,
    length: usize,
    f: impl Fn(L::Vector) -> L::Vector,
) {
    // SAFETY: the caller promises `length` elements in both rows and a CPU with `L`; `part` stops there. Rows may be
    // equal, because each part is read before it is written.
    unsafe {
        let mut at = 0;
        while at < length {
            let part = L::WIDTH.min(length - at);
            store_part::<L, T>(out.add(at), f(load_part::<L, T>(row.add(at), part, 0.0)), part);
            at += part;
        }
    }
}

/// Loads `count` elements, with `filler` in the other lanes.
///
/// # Safety
/// `from` is valid for reading `count` elements, at most one vector, and the CPU supports `L`.
#[inline(always)]
pub unsafe fn load_part<L: Lanes, T: Element>(from: *const T, count: usize, filler: f32) -> L::Vector {
    // SAFETY: the caller promises `count` elements, at most one vector, and a CPU with `L`. `padded` holds
    // the widest vector. `read` relies on alignment, which the contract does not name: slices and tensors have it.
    unsafe {
        if count == L::WIDTH {
            return T::load::<L>(from);
        }
        let mut padded = [filler; MAX_WIDTH];
        for (lane, value) in padded[..count].iter_mut().enumerate() {
            *value = from.add(lane).read().to_f32();
        }
        L::load_f32(padded.as_ptr())
    }
}

/// # Safety
/// `to` is valid for writing `count` elements, at most one vector, and the CPU supports `L`.
#[inline(always)]
pub unsafe fn store_part<L: Lanes, T: Element>(to: *mut T, value: L::Vector, count: usize) {
    // SAFETY: the caller promises room for `count` elements, at most one vector, and a CPU with `L`. `padded` is
    // local and holds the widest vector. The copy relies on alignment as in `load_part`.
    unsafe {
        if count == L::WIDTH {
            return T::store::<L>(to, value);
        }
        let mut padded = [T::default(); MAX_WIDTH];
        T::store::<L>(padded.as_mut_ptr(), value);
        std::ptr::copy_nonoverlapping(padded.as_ptr(), to, count);
    }
}
