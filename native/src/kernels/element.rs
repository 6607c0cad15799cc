//! Storage types of the widened representation; arithmetic is always f32.

use half::{bf16, f16};

use super::lanes::Lanes;

pub trait Element: Copy + Send + Sync + Default + PartialEq + std::fmt::Debug + 'static {
    /// ONNX's name of the type, for error messages.
    const NAME: &'static str;

    fn to_f32(self) -> f32;
    fn from_f32(value: f32) -> Self;

    /// # Safety
    /// `from` is valid for reading `L::WIDTH` elements, and the CPU supports `L`.
    unsafe fn load<L: Lanes>(from: *const Self) -> L::Vector;

    /// # Safety
    /// `to` is valid for writing `L::WIDTH` elements, and the CPU supports `L`.
    unsafe fn store<L: Lanes>(to: *mut Self, value: L::Vector);
}

macro_rules! element {
    ($type:ty, $name:literal, $to:expr, $from:expr, $load:ident, $store:ident) => {
        impl Element for $type {
            const NAME: &'static str = $name;

            #[inline(always)]
            fn to_f32(self) -> f32 {
                $to(self)
            }

            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                $from(value)
            }

            #[inline(always)]
            unsafe fn load<L: Lanes>(from: *const Self) -> L::Vector {
                // SAFETY: the caller promises `L::WIDTH` readable elements at `from` and a CPU with `L`.
                unsafe { L::$load(from) }
            }

            #[inline(always)]
            unsafe fn store<L: Lanes>(to: *mut Self, value: L::Vector) {
                // SAFETY: the caller promises `L::WIDTH` writable elements at `to` and a CPU with `L`.
                unsafe { L::$store(to, value) }
            }
        }
    };
}

element!(f32, "float", std::convert::identity, std::convert::identity, load_f32, store_f32);
element!(f16, "float16", f16::to_f32, f16::from_f32, load_f16, store_f16);
element!(bf16, "bfloat16", bf16::to_f32, bf16::from_f32, load_bf16, store_bf16);
element!(i8, "int8", f32::from, |value: f32| value.round_ties_even() as i8, load_i8, store_i8);
