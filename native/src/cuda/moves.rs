//! Moves blocks on a device, as they are or at one magnitude: Select, Expand and Collapse.

use std::ffi::c_void;

use super::device::Device;
use super::launch::{Call, Spread};
use crate::ort::Result;

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

/// # Safety
/// The addresses in `rows` are valid for `blocks` blocks of its shape.
pub unsafe fn queue_move<D: Device>(call: &Call<D>, blocks: usize, mut rows: Move) -> Result<()> {
    let strides = [rows.from_block, rows.from_row, rows.to_block, rows.to_row].map(|stride| stride as usize);
    let addresses = [rows.from, rows.to.cast_const()];
    let spread = Spread::new(call.variant, call.variant.wide(), rows.width as usize, &strides, &addresses);
    rows.chunks = spread.chunks;
    // SAFETY: the caller promises the addresses for `blocks` blocks of `rows` rows, and `spread` has checked alignment.
    unsafe { call.spread("move_rows", blocks * rows.rows as usize, spread, &rows) }
}

/// # Safety
/// The addresses in `matched` are valid for `tokens` tokens of its shape.
pub unsafe fn queue_match<D: Device>(
    call: &Call<D>,
    kernel: &'static str,
    tokens: usize,
    matched: &Match,
) -> Result<()> {
    let strides = [matched.from_block, matched.from_row, matched.to_block, matched.to_row];
    let addresses = [matched.from, matched.to.cast_const()];
    let (lanes, width) = (call.variant.lanes(), matched.width as usize);
    let spread = Spread::new(call.variant, lanes, width, &strides.map(|stride| stride as usize), &addresses);
    // SAFETY: the caller promises the addresses for `tokens` tokens, and `spread` has checked alignment.
    unsafe { call.row_by_row(kernel, tokens, spread.is_aligned, matched) }
}
