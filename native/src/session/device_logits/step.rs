//! The structs of sampling.cu. An address of 0 means that there is nothing.

use super::super::memory::Plain;
use crate::cuda::ALTERNATIVES;

/// A token's note: how often the completion has it, and these two bits.
pub const SEEN: u32 = 1 << 30;
pub const BANNED: u32 = 1 << 31;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Row {
    pub logits: usize,
    pub notes: usize,
    pub bias: usize,
    pub mask: usize,
    pub forbidden: usize,
    pub forbidden_count: u64,
    pub repetition: f64,
    pub presence: f64,
    pub frequency: f64,
    pub temperature: f64,
    pub top_k: f64,
    pub min_p: f64,
    pub top_p: f64,
    pub uniform: f64,
    pub alternatives: i64,
}

// SAFETY: 15 numbers of eight bytes each, where an address has eight too, as on every system with CUDA.
unsafe impl Plain for Row {}
const _: () = assert!(size_of::<Row>() == 15 * 8);

#[repr(C)]
pub struct Partial {
    highest: f64,
    place: u32,
    raw_highest: f32,
    bad: u32,
}

pub const CHOSEN: u32 = 0;
pub const NOT_FINITE: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Choice {
    pub token: u32,
    pub status: u32,
    pub logit: f32,
    pub raw_highest: f32,
    pub weights: f64,
    pub top: [u32; ALTERNATIVES],
    pub top_logits: [f32; ALTERNATIVES],
}

#[repr(C)]
pub struct Step {
    pub rows: usize,
    pub values: usize,
    pub partials: usize,
    pub choices: usize,
    pub top_weight: f64,
    pub vocabulary: u32,
    pub chunks: u32,
}
