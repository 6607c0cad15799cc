//! The operators as DESIGN defines them, one step at a time in f64. Tests compare the fast kernels with them.

use super::matrix::Reads;

/// Blocks × elements of one block.
pub type Blocks = Vec<Vec<f64>>;

/// x̂ⁱ = Σⱼ P[i,j]·xʲ
pub fn predict(x: &Blocks, p: &[f64]) -> Blocks {
    let blocks = x.len();
    (0..blocks)
        .map(|i| (0..x[0].len()).map(|e| (0..blocks).map(|j| p[i * blocks + j] * x[j][e]).sum()).collect())
        .collect()
}

/// xⁱ = x̂ⁱ + G[i]·(y − x̂^active)
pub fn correct(predicted: &Blocks, y: &[f64], g: &[f64], active: usize) -> Blocks {
    (0..predicted.len())
        .map(|i| (0..y.len()).map(|e| predicted[i][e] + g[i] * (y[e] - predicted[active][e])).collect())
        .collect()
}

/// Correct, then the next layer's predict, and the block that layer reads.
pub fn correct_predict(
    predicted: &Blocks,
    y: &[f64],
    g: &[f64],
    p: &[f64],
    active: usize,
    next: usize,
    reads: Reads,
) -> (Blocks, Vec<f64>) {
    let corrected = correct(predicted, y, g, active);
    let next_predicted = predict(&corrected, p);
    let read = match reads {
        Reads::Corrected => corrected[next].clone(),
        Reads::Predicted => next_predicted[next].clone(),
    };
    (next_predicted, read)
}

/// relu(x − (mean + m·std)), population standard deviation
pub fn gaussian_top_k(gate: &[f64], std_multiplier: f64) -> Vec<f64> {
    let count = gate.len() as f64;
    let mean = gate.iter().sum::<f64>() / count;
    let variance = gate.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    gate.iter().map(|x| (x - (mean + std_multiplier * variance.sqrt())).max(0.0)).collect()
}

/// √(mean((x⁰)²) / max(mean((xⁱ)²), 10⁻⁵)), and 1 for block 0
pub fn magnitude_scales(blocks: &Blocks) -> Vec<f64> {
    let mean_square = |block: &Vec<f64>| block.iter().map(|x| x * x).sum::<f64>() / block.len() as f64;
    let first = mean_square(&blocks[0]);
    let scale = |block| (first / f64::max(mean_square(block), 1e-5)).sqrt();
    blocks.iter().enumerate().map(|(i, block)| if i == 0 { 1.0 } else { scale(block) }).collect()
}

/// Σ softmax(scale·q·kⱼ + biasⱼ)·vⱼ, keys and values row by row
pub fn attention(query: &[f64], keys: &[f64], values: &[f64], bias: &[f64], scale: f64) -> Vec<f64> {
    let width = query.len();
    let dot = |key: &[f64]| query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>();
    let scores: Vec<f64> = keys.chunks(width).zip(bias).map(|(key, bias)| scale * dot(key) + bias).collect();
    weighted(&scores, values, width)
}

/// Σ softmax(cap(scale·q·kⱼ))·vⱼ of one query
pub fn grouped_attention(
    query: &[f64],
    keys: &[f64],
    values: &[f64],
    scale: f64,
    cap: impl Fn(f64) -> f64,
) -> Vec<f64> {
    let width = query.len();
    let dot = |key: &[f64]| query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>();
    let scores: Vec<f64> = keys.chunks(width).map(|key| cap(scale * dot(key))).collect();
    weighted(&scores, values, width)
}

/// Σ softmax(scores)ⱼ·valueⱼ
fn weighted(scores: &[f64], values: &[f64], width: usize) -> Vec<f64> {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let column =
        |c: usize| weights.iter().zip(values.chunks(width)).map(|(w, value)| w * value[c]).sum::<f64>();
    (0..width).map(|c| column(c) / total).collect()
}
