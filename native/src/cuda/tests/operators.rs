//! Compares operators in ONNX Runtime with their definition in f64. kernels.cu runs on the host, or on the GPU with
//! `npm run test:cuda`.

use half::{bf16, f16};

use super::model::{Attribute, Case, Tensor, run};
use crate::kernels::matrix::Reads;
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
const SHAPES: &[&[i64]] = &[
    &[1, 1, 16],
    &[2, 1, 768],
    &[2, 3, 5, 33],
    &[4, 2, 1, 40],
    &[4, 7, 520],
    &[4, 0, 8],
    &[5, 2, 2, 24],
    &[16, 2, 36],
];

fn blocks_of(values: &[f64], count: usize) -> Vec<Vec<f64>> {
    let length = values.len() / count;
    (0..count).map(|block| values[block * length..][..length].to_vec()).collect()
}

/// The coefficients of one token: its own set, or the set that all tokens share.
fn set<'a>(coefs: &'a Tensor, own: &[i64], token: usize) -> &'a [f64] {
    let size = own.iter().product::<i64>() as usize;
    let first = if coefs.dims.len() == own.len() { 0 } else { token * size };
    &coefs.values[first..][..size]
}

/// Calls `of(token, blocks of that token)` for every token and joins the results.
fn by_token(x: &[f64], dims: &[i64], of: impl Fn(usize, reference::Blocks) -> reference::Blocks) -> Vec<f64> {
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
fn coefficient_dims(dims: &[i64], own: &[i64]) -> [Vec<i64>; 2] {
    [own.to_vec(), [&dims[1..dims.len() - 1], own].concat()]
}

/// What a test needs for one element type.
struct Type {
    check: fn(&Case, &[Vec<f64>]),
    tensor: fn(&'static str, &[i64], u64) -> Tensor,
    rounded: fn(f64) -> f64,
}

fn types() -> [Type; 3] {
    fn of<T: Storage>() -> Type {
        let rounded = |value: f64| f64::from(T::from_f32(value as f32).to_f32());
        Type { check: check::<T>, tensor: tensor::<T>, rounded }
    }
    [of::<f32>(), of::<f16>(), of::<bf16>()]
}

#[test]
fn select() {
    for Type { check, tensor, .. } in types() {
        for dims in SHAPES {
            for active in [0, dims[0] - 1] {
                let x = tensor("blocks", dims, 1);
                let expected = vec![blocks_of(&x.values, dims[0] as usize).swap_remove(active as usize)];
                let case = Case {
                    op: "Select",
                    attributes: vec![("active", Attribute::Int(active))],
                    inputs: vec![x],
                    outputs: vec![("block", dims[1..].to_vec())],
                    in_place: 0,
                };
                check(&case, &expected);
            }
        }
    }
}

#[test]
fn predict() {
    for Type { check, tensor, .. } in types() {
        for dims in SHAPES {
            let own = [dims[0]; 2];
            for (in_place, p_dims) in coefficient_dims(dims, &own).iter().enumerate() {
                let (x, p) = (tensor("blocks", dims, 2), tensor("prediction_coefs", p_dims, 3));
                let expected = vec![by_token(&x.values, dims, |token, blocks| {
                    reference::predict(&blocks, set(&p, &own, token))
                })];
                let case = Case {
                    op: "Predict",
                    attributes: vec![],
                    inputs: vec![x, p],
                    outputs: vec![("predicted", dims.to_vec())],
                    in_place,
                };
                check(&case, &expected);
            }
        }
    }
}

#[test]
fn correct() {
    for Type { check, tensor, .. } in types() {
        for dims in SHAPES {
            let (own, active) = ([dims[0]], dims[0] / 2);
            for (in_place, g_dims) in coefficient_dims(dims, &own).iter().enumerate() {
                let (x, y) = (tensor("predicted", dims, 4), tensor("computed", &dims[1..], 5));
                let g = tensor("correction_coefs", g_dims, 6);
                let expected = vec![by_token(&x.values, dims, |token, blocks| {
                    let width = blocks[0].len();
                    let y = &y.values[token * width..][..width];
                    reference::correct(&blocks, y, set(&g, &own, token), active as usize)
                })];
                let case = Case {
                    op: "Correct",
                    attributes: vec![("active", Attribute::Int(active))],
                    inputs: vec![x, y, g],
                    outputs: vec![("corrected", dims.to_vec())],
                    in_place,
                };
                check(&case, &expected);
            }
        }
    }
}

/// G and P' shared or per token; both values of `reads`; in place and with separate outputs.
#[test]
fn correct_predict() {
    for Type { check, tensor, .. } in types() {
        for (shape, dims) in SHAPES.iter().enumerate() {
            let (k, own_g, own_p) = (dims[0], [dims[0]], [dims[0]; 2]);
            for way in 0..4 {
                let (active, next) = ((shape as i64 + way) % k, (2 * way + 1) % k);
                let reads = if way % 2 == 0 { Reads::Corrected } else { Reads::Predicted };
                let (x, y) = (tensor("predicted", dims, 7), tensor("computed", &dims[1..], 8));
                let g = tensor("correction_coefs", &coefficient_dims(dims, &own_g)[way as usize / 2], 9);
                let p =
                    tensor("next_prediction_coefs", &coefficient_dims(dims, &own_p)[way as usize % 2], 10);
                let both = by_token(&x.values, dims, |token, blocks| {
                    let width = blocks[0].len();
                    let y = &y.values[token * width..][..width];
                    let (g, p) = (set(&g, &own_g, token), set(&p, &own_p, token));
                    let (mut predicted, read) =
                        reference::correct_predict(&blocks, y, g, p, active as usize, next as usize, reads);
                    predicted.push(read);
                    predicted
                });
                let expected = vec![both[..x.values.len()].to_vec(), both[x.values.len()..].to_vec()];
                let case = Case {
                    op: "CorrectPredict",
                    attributes: vec![
                        ("active", Attribute::Int(active)),
                        ("next", Attribute::Int(next)),
                        ("reads", Attribute::Text(["corrected", "predicted"][way as usize % 2])),
                    ],
                    inputs: vec![x, y, g, p],
                    outputs: vec![("next_predicted", dims.to_vec()), ("next_read", dims[1..].to_vec())],
                    in_place: 2 * (way as usize / 2),
                };
                check(&case, &expected);
            }
        }
    }
}

/// [blocks, tokens…, d] → [tokens…, blocks·d]: the blocks of a token side by side.
fn side_by_side(x: &[f64], dims: &[i64]) -> Vec<f64> {
    let (count, width) = (dims[0] as usize, dims[dims.len() - 1] as usize);
    let blocks = blocks_of(x, count);
    let tokens = x.len() / (count * width);
    (0..tokens)
        .flat_map(|token| blocks.iter().flat_map(move |block| block[token * width..][..width].to_vec()))
        .collect()
}

fn node(op: &'static str, mode: &'static str, input: Tensor, output: (&'static str, &[i64])) -> Case {
    let mut attributes = vec![("mode", Attribute::Text(mode))];
    if op == "Expand" {
        attributes.push(("num_blocks", Attribute::Int(output.1[0])));
    }
    Case { op, attributes, inputs: vec![input], outputs: vec![(output.0, output.1.to_vec())], in_place: 0 }
}

/// Blocks of very different magnitudes, the last below the minimum divisor.
#[test]
fn expand_and_collapse_at_one_magnitude() {
    for Type { check, tensor, rounded } in types() {
        for dims in SHAPES {
            let mut blocks = tensor("blocks", dims, 13);
            let length = blocks.values.len() / dims[0] as usize;
            for (i, value) in blocks.values.iter_mut().enumerate() {
                *value = rounded(*value * [1.0, 0.25, 1e-3][(i / length.max(1)).min(2)]);
            }
            let scaled = by_token(&blocks.values, dims, |_, blocks| {
                let scales = reference::magnitude_scales(&blocks);
                blocks
                    .iter()
                    .zip(scales)
                    .map(|(block, scale)| block.iter().map(|x| x * scale).collect())
                    .collect()
            });
            let mean = by_token(&scaled, dims, |_, blocks| {
                let count = blocks.len() as f64;
                vec![
                    (0..blocks[0].len())
                        .map(|e| blocks.iter().map(|block| block[e]).sum::<f64>() / count)
                        .collect(),
                ]
            });
            let x = Tensor { name: "x", dims: wide(dims), values: side_by_side(&blocks.values, dims) };
            check(&node("Expand", "match", x, ("blocks", dims)), &[scaled]);
            check(&node("Collapse", "match", blocks, ("x", &dims[1..])), &[mean]);
        }
    }
}

fn wide(dims: &[i64]) -> Vec<i64> {
    let mut wide = dims[1..].to_vec();
    *wide.last_mut().unwrap() *= dims[0];
    wide
}

#[test]
fn expand_and_collapse() {
    for Type { check, tensor, .. } in types() {
        for dims in SHAPES {
            let count = dims[0] as usize;
            let x = tensor("x", &dims[1..], 11);
            let copies = x.values.repeat(count);
            check(&node("Expand", "replicate", x, ("blocks", dims)), &[copies]);

            let blocks = tensor("blocks", dims, 12);
            let flat = side_by_side(&blocks.values, dims);
            let x = Tensor { name: "x", dims: wide(dims), values: flat.clone() };
            let (cut, joined) = (blocks.values.clone(), [flat]);
            check(&node("Expand", "split", x, ("blocks", dims)), &[cut]);
            check(&node("Collapse", "concatenate", blocks.clone(), ("x", &wide(dims))), &joined);

            let sums = by_token(&blocks.values, dims, |_, blocks| {
                vec![(0..blocks[0].len()).map(|e| blocks.iter().map(|block| block[e]).sum()).collect()]
            });
            check(&node("Collapse", "sum", blocks, ("x", &dims[1..])), &[sums]);
        }
    }
}

/// Rows that fill a thread block many times, once, and only in part.
#[test]
fn gaussian_top_k() {
    for Type { check, tensor, .. } in types() {
        for dims in [&[2, 3, 40_i64] as &[i64], &[1, 16400], &[3, 1037], &[0, 8], &[2, 1]] {
            for (in_place, multiplier) in [1.644_853_6_f32, -0.5].into_iter().enumerate() {
                let gate = tensor("gate", dims, 14);
                let width = *dims.last().unwrap() as usize;
                let rows = gate.values.chunks(width);
                let expected: Vec<f64> =
                    rows.flat_map(|row| reference::gaussian_top_k(row, f64::from(multiplier))).collect();
                let case = Case {
                    op: "GaussianTopK",
                    attributes: vec![("std_multiplier", Attribute::Float(multiplier))],
                    inputs: vec![gate],
                    outputs: vec![("sparse", dims.to_vec())],
                    in_place,
                };
                check(&case, &[expected]);
            }
        }
    }
}

/// Strides that divide the number of tokens, do not divide it, and exceed it; in place and with a separate output.
#[test]
fn sequence_predict_correct() {
    for Type { check, tensor, .. } in types() {
        for dims in [&[2, 9, 40_i64] as &[i64], &[3, 33], &[2, 2, 4, 520], &[1, 0, 8], &[1, 1, 16]] {
            for (in_place, stride) in [(0, 1), (1, 2), (0, 3), (1, 4), (1, 16)] {
                let [lead @ .., tokens, width] = dims else { unreachable!() };
                let kept = (tokens + stride - 1) / stride;
                let (x, coefs) = (tensor("x", dims, 15), tensor("sequence_coefs", &[3], 17));
                let computed = tensor("computed", &[lead, &[kept, *width]].concat(), 16);
                let [a1, a2, b] = coefs.values[..] else { unreachable!() };
                let (tokens, width) = (*tokens as usize, *width as usize);
                let expected = (0..x.values.len())
                    .map(|i| {
                        let (row, element) = (i / width, i % width);
                        let (sequence, token) = (row / tokens, row % tokens);
                        let group = token / stride as usize;
                        let anchor =
                            x.values[(sequence * tokens + group * stride as usize) * width + element];
                        let computed = computed.values[(sequence * kept as usize + group) * width + element];
                        a1 * x.values[i] + a2 * anchor + b * (computed - (a1 * anchor + a2 * anchor))
                    })
                    .collect();
                let case = Case {
                    op: "SequencePredictCorrect",
                    attributes: vec![("stride", Attribute::Int(stride))],
                    inputs: vec![x, computed, coefs],
                    outputs: vec![("y", dims.to_vec())],
                    in_place,
                };
                check(&case, &[expected]);
            }
        }
    }
}
