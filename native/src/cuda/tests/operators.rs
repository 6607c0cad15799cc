//! Compares operators in ONNX Runtime with their definition in f64. kernels.cu runs on the host, or on the GPU with
//! `npm run test:cuda`.

use half::{bf16, f16};

use super::model::{Case, Tensor, run};
use crate::kernels::reference;
use crate::ops::Storage;

/// Numbers between -1 and 1 that `T` holds exactly.
fn random<T: Storage>(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| f64::from(T::from_f32(next()).to_f32())).collect()
}

fn tensor<T: Storage>(name: &'static str, dims: &[i64], seed: u64) -> Tensor {
    let count = dims.iter().product::<i64>() as usize;
    Tensor { name, dims: dims.to_vec(), values: random::<T>(count, seed) }
}

/// Runs `case` and compares every output with `expected`, up to rounding to `T`.
fn check<T: Storage>(case: &Case, expected: &[Vec<f64>]) {
    let outputs = run::<T>(case).unwrap_or_else(|error| panic!("{error}"));
    let rounding = match T::NAME {
        "float" => 1e-7,
        "float16" => 1.0 / 2048.0,
        _ => 1.0 / 256.0,
    };
    for (output, (got, wanted)) in outputs.iter().zip(expected).enumerate() {
        assert_eq!(got.len(), wanted.len());
        for (i, (got, wanted)) in got.iter().zip(wanted).enumerate() {
            let near = (got - wanted).abs() <= wanted.abs() * rounding + 4e-6;
            let (op, name, dims) = (case.op, T::NAME, &case.inputs[0].dims);
            assert!(near, "{op} {name} {dims:?}: output {output}, element {i} is {got}, not {wanted}");
        }
    }
}

/// [K, tokens…, d]. Includes rows that do not fit vectors, zero tokens, and more elements than one thread block takes.
pub const SHAPES: &[&[i64]] = &[
    &[1, 1, 16],
    &[2, 1, 768],
    &[2, 3, 5, 33],
    &[4, 2, 1, 40],
    &[4, 7, 520],
    &[4, 0, 8],
    &[5, 2, 2, 24],
    &[16, 2, 36],
];

pub fn blocks_of(values: &[f64], count: usize) -> Vec<Vec<f64>> {
    let length = values.len() / count;
    (0..count).map(|block| values[block * length..][..length].to_vec()).collect()
}

/// The coefficients of one token: its own set, or the set that all tokens share.
pub fn set<'a>(coefs: &'a Tensor, own: &[i64], token: usize) -> &'a [f64] {
    let size = own.iter().product::<i64>() as usize;
    let first = if coefs.dims.len() == own.len() { 0 } else { token * size };
    &coefs.values[first..][..size]
}

/// Calls `of(token, blocks of that token)` for every token and joins the results.
pub fn by_token(
    x: &[f64],
    dims: &[i64],
    of: impl Fn(usize, reference::Blocks) -> reference::Blocks,
) -> Vec<f64> {
    let (count, width) = (dims[0] as usize, dims[dims.len() - 1] as usize);
    let tokens = dims[1..dims.len() - 1].iter().product::<i64>() as usize;
    let blocks = blocks_of(x, count);
    let results: Vec<_> = (0..tokens)
        .map(|token| of(token, blocks.iter().map(|block| block[token * width..][..width].to_vec()).collect()))
        .collect();
    let rows = results.first().map_or(count, Vec::len);
    (0..rows).flat_map(|row| results.iter().flat_map(move |token| token[row].clone())).collect()
}

/// Dims of coefficients that all tokens share, and of one set per token.
pub fn coefficient_dims(dims: &[i64], own: &[i64]) -> [Vec<i64>; 2] {
    [own.to_vec(), [&dims[1..dims.len() - 1], own].concat()]
}

/// What a test needs for one element type.
pub struct Type {
    pub check: fn(&Case, &[Vec<f64>]),
    pub tensor: fn(&'static str, &[i64], u64) -> Tensor,
    pub rounded: fn(f64) -> f64,
}

pub fn types() -> [Type; 3] {
    fn of<T: Storage>() -> Type {
        let rounded = |value: f64| f64::from(T::from_f32(value as f32).to_f32());
        Type { check: check::<T>, tensor: tensor::<T>, rounded }
    }
    [of::<f32>(), of::<f16>(), of::<bf16>()]
}
