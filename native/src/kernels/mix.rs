//! The one kernel of all linear operators: outᵣ = Σ_c M[r,c]·in_c over long rows, in one pass over memory.

use super::element::Element;
use super::instruction_set::InstructionSet;
use super::lanes::Lanes;
use super::matrix::{MAX_BLOCKS, Matrix};
use super::row::{load_part, store_part};

const MAX_ROWS: usize = MAX_BLOCKS + 1;

/// Mixes `length` elements of every row. Takes `m` row by row, the rows to read and the rows to write.
///
/// # Safety
/// `m` holds rows × columns entries and every pointer is valid for `length` elements. A written row is one of the read
/// rows or overlaps none of them. The CPU has the instruction set that the function was made for.
type Mix<T> =
    unsafe fn(m: *const f32, shape: (usize, usize), ins: *const *const T, outs: *const *mut T, length: usize);

/// The kernel for matrices of one shape on this CPU.
#[derive(Clone, Copy)]
pub struct Mixer<T> {
    rows: usize,
    columns: usize,
    mix: Mix<T>,
}

impl<T: Element> Mixer<T> {
    pub fn new(rows: usize, columns: usize) -> Self {
        Self::of(InstructionSet::fastest(), rows, columns)
    }

    fn of(set: InstructionSet, rows: usize, columns: usize) -> Self {
        assert!(rows <= MAX_ROWS && (1..=MAX_ROWS).contains(&columns));
        Self { rows, columns, mix: choose(set, rows, columns) }
    }

    /// Mixes `length` elements of each row.
    ///
    /// # Safety
    /// `ins` are valid for reading and `outs` for writing `length` elements. A written row is one of the read rows or
    /// overlaps none of them, and no two written rows overlap.
    pub unsafe fn run(&self, matrix: &Matrix, ins: &[*const T], outs: &[*mut T], length: usize) {
        assert_eq!((self.rows, self.columns), (matrix.rows(), matrix.columns()));
        assert_eq!((self.rows, self.columns), (outs.len(), ins.len()));
        // SAFETY: lengths were just checked, the caller guarantees the rest, and `choose` used a set that the CPU has.
        unsafe {
            (self.mix)(
                matrix.entries().as_ptr(),
                (self.rows, self.columns),
                ins.as_ptr(),
                outs.as_ptr(),
                length,
            );
        }
    }
}

/// The shape is known at compile time: the loops over rows and columns unroll and inputs stay in registers.
#[inline(always)]
unsafe fn mix_fixed<L: Lanes, T: Element, const R: usize, const C: usize>(
    m: *const f32,
    ins: *const *const T,
    outs: *const *mut T,
    length: usize,
) {
    // SAFETY: `choose` takes this function only for R rows and C columns, which `Mixer::run` compares with the lengths
    // of all three lists. The contract of `Mix` covers the rows and the CPU. Every place is read before it is written.
    unsafe {
        let m = m.cast::<[[f32; C]; R]>().read();
        let ins = ins.cast::<[*const T; C]>().read();
        let outs = outs.cast::<[*mut T; R]>().read();
        let whole = length - length % L::WIDTH;
        let mut at = 0;
        // Two vectors at a time share each loaded coefficient.
        while at + 2 * L::WIDTH <= whole {
            let x: [[L::Vector; 2]; C] = std::array::from_fn(|c| {
                [T::load::<L>(ins[c].add(at)), T::load::<L>(ins[c].add(at + L::WIDTH))]
            });
            for r in 0..R {
                let first = L::splat(m[r][0]);
                let mut sums = [L::mul(first, x[0][0]), L::mul(first, x[0][1])];
                for c in 1..C {
                    let weight = L::splat(m[r][c]);
                    sums = [L::mul_add(weight, x[c][0], sums[0]), L::mul_add(weight, x[c][1], sums[1])];
                }
                T::store::<L>(outs[r].add(at), sums[0]);
                T::store::<L>(outs[r].add(at + L::WIDTH), sums[1]);
            }
            at += 2 * L::WIDTH;
        }
        while at < whole {
            let x: [L::Vector; C] = std::array::from_fn(|c| T::load::<L>(ins[c].add(at)));
            for r in 0..R {
                let mut sum = L::mul(L::splat(m[r][0]), x[0]);
                for c in 1..C {
                    sum = L::mul_add(L::splat(m[r][c]), x[c], sum);
                }
                T::store::<L>(outs[r].add(at), sum);
            }
            at += L::WIDTH;
        }
        if whole < length {
            // The same instructions for the rest, so that an element's value never depends on its position.
            let rest = length - whole;
            let x: [L::Vector; C] = std::array::from_fn(|c| load_part::<L, T>(ins[c].add(whole), rest, 0.0));
            for r in 0..R {
                let mut sum = L::mul(L::splat(m[r][0]), x[0]);
                for c in 1..C {
                    sum = L::mul_add(L::splat(m[r][c]), x[c], sum);
                }
                store_part::<L, T>(outs[r].add(whole), sum, rest);
            }
        }
    }
}

/// Any shape; slower, because the loops do not unroll.
#[inline(always)]
unsafe fn mix_any<L: Lanes, T: Element>(
    m: *const f32,
    (rows, columns): (usize, usize),
    ins: *const *const T,
    outs: *const *mut T,
    length: usize,
) {
    // SAFETY: `Mixer::run` checks that the lists have the lengths in the shape. The contract of `Mix` covers the rows
    // and the CPU. `Mixer::of` refuses shapes without a column.
    unsafe {
        let mut x = [L::splat(0.0); MAX_ROWS];
        let mut at = 0;
        while at < length {
            let part = L::WIDTH.min(length - at);
            for (c, lanes) in x[..columns].iter_mut().enumerate() {
                *lanes = load_part::<L, T>((*ins.add(c)).add(at), part, 0.0);
            }
            for r in 0..rows {
                let mut sum = L::mul(L::splat(*m.add(r * columns)), x[0]);
                for (c, lanes) in x[..columns].iter().enumerate().skip(1) {
                    sum = L::mul_add(L::splat(*m.add(r * columns + c)), *lanes, sum);
                }
                store_part::<L, T>((*outs.add(r)).add(at), sum, part);
            }
            at += part;
        }
    }
}

/// One set of entry points: `$lanes` inlined under the target features it needs.
macro_rules! entry_points {
    ($module:ident, $lanes:ty $(, $feature:literal)?) => {
        mod $module {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn fixed<T: Element, const R: usize, const C: usize>(
                m: *const f32, _: (usize, usize), ins: *const *const T, outs: *const *mut T, length: usize,
            ) {
                // SAFETY: this function enables all that `$lanes` needs. `choose` makes the shape R × C.
                unsafe { mix_fixed::<$lanes, T, R, C>(m, ins, outs, length) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn any<T: Element>(
                m: *const f32, shape: (usize, usize), ins: *const *const T, outs: *const *mut T, length: usize,
            ) {
                // SAFETY: this function enables all that `$lanes` needs, and `Mix` has the same contract as `mix_any`.
                unsafe { mix_any::<$lanes, T>(m, shape, ins, outs, length) }
            }

            /// Collapse by sum, Predict, Correct and CorrectPredict of 2, 3 and 4 blocks have their own kernels.
            pub fn choose<T: Element>(rows: usize, columns: usize) -> Mix<T> {
                match (rows, columns) {
                    (1, 1) => fixed::<T, 1, 1>,
                    (1, 2) => fixed::<T, 1, 2>,
                    (1, 3) => fixed::<T, 1, 3>,
                    (1, 4) => fixed::<T, 1, 4>,
                    (2, 2) => fixed::<T, 2, 2>,
                    (2, 3) => fixed::<T, 2, 3>,
                    (3, 3) => fixed::<T, 3, 3>,
                    (3, 4) => fixed::<T, 3, 4>,
                    (4, 4) => fixed::<T, 4, 4>,
                    (4, 5) => fixed::<T, 4, 5>,
                    (5, 5) => fixed::<T, 5, 5>,
                    _ => any::<T>,
                }
            }
        }
    };
}

entry_points!(portable, crate::kernels::lanes::Portable);
#[cfg(target_arch = "x86_64")]
entry_points!(avx2, crate::kernels::lanes::Avx2, "avx2,fma,f16c");
#[cfg(target_arch = "x86_64")]
entry_points!(avx512, crate::kernels::lanes::Avx512, "avx512f,avx512bw,avx512vl");

fn choose<T: Element>(set: InstructionSet, rows: usize, columns: usize) -> Mix<T> {
    match set {
        InstructionSet::Portable => portable::choose(rows, columns),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => avx2::choose(rows, columns),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => avx512::choose(rows, columns),
    }
}

#[cfg(test)]
mod tests;
