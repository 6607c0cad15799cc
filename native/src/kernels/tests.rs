//! Shared by the tests of all kernels.

use half::{bf16, f16};
use proptest::prelude::ProptestConfig;

use super::{Element, InstructionSet};

/// Miri is slow and checks each access anyway.
pub fn config() -> ProptestConfig {
    let cases = if cfg!(miri) { 3 } else { 200 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Machine epsilon of the storage type.
fn unit<T: Element>() -> f64 {
    match T::NAME {
        "float" => f64::from(f32::EPSILON),
        "float16" => f64::from(f16::EPSILON.to_f32()),
        _ => f64::from(bf16::EPSILON.to_f32()),
    }
}

pub fn exact<T: Element>(row: &[T]) -> Vec<f64> {
    row.iter().map(|value| f64::from(value.to_f32())).collect()
}

/// Checks equality up to the storage type's rounding of the result and float32's rounding of intermediate values up to
/// `scale`.
pub fn assert_close<T: Element>(set: InstructionSet, got: &[T], want: &[f64], scale: f64) {
    assert_eq!(got.len(), want.len());
    for (place, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got.to_f32()) - want).abs();
        let allowed = unit::<T>() * want.abs() + 4.0 * f64::from(f32::EPSILON) * scale;
        assert!(error <= allowed, "{set:?} at {place}: {got:?} instead of {want}, {error:e} off");
    }
}

/// Numbers from −1 to 1, the same for the same seed.
pub fn noise<T: Element>(count: usize, seed: u32) -> Vec<T> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| T::from_f32(next())).collect()
}
