//! The argument structs of kernels.cu, field by field. Lengths count elements.

use std::ffi::c_void;

/// Predict, Correct, CorrectPredict and Collapse by sum. Pointers that an operator does not use are null.
#[repr(C)]
pub struct Mix {
    pub x: *const c_void,
    pub y: *const c_void,
    pub gains: *const c_void,
    pub weights: *const c_void,
    pub mixed: *mut c_void,
    pub read: *mut c_void,
    pub block: i64,
    pub width: i64,
    pub gains_step: i64,
    pub weights_step: i64,
    pub active: i32,
    pub next: i32,
    pub reads_predicted: i32,
    pub chunks: u32,
}

/// Select, Expand, and Collapse by concatenation.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Move {
    pub from: *const c_void,
    pub to: *mut c_void,
    pub width: i64,
    pub rows: i64,
    pub from_block: i64,
    pub from_row: i64,
    pub to_block: i64,
    pub to_row: i64,
    pub chunks: u32,
}

/// Expand and Collapse at one magnitude.
#[repr(C)]
pub struct Match {
    pub from: *const c_void,
    pub to: *mut c_void,
    pub width: i64,
    pub from_block: i64,
    pub from_row: i64,
    pub to_block: i64,
    pub to_row: i64,
}

/// GaussianTopK.
#[repr(C)]
pub struct Gate {
    pub gate: *const c_void,
    pub sparse: *mut c_void,
    pub width: i64,
    pub multiplier: f32,
}

/// SequencePredictCorrect.
#[repr(C)]
pub struct Sequence {
    pub x: *const c_void,
    pub computed: *const c_void,
    pub coefs: *const c_void,
    pub y: *mut c_void,
    pub width: i64,
    pub tokens: i64,
    pub kept: i64,
    pub stride: i64,
    pub chunks: u32,
}

impl Default for Move {
    fn default() -> Self {
        Self {
            from: std::ptr::null(),
            to: std::ptr::null_mut(),
            width: 0,
            rows: 0,
            from_block: 0,
            from_row: 0,
            to_block: 0,
            to_row: 0,
            chunks: 0,
        }
    }
}
