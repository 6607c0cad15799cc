use std::cell::RefCell;

use super::super::dots::DotSet;
use super::super::element::Element;
use super::Codes;
use super::activations::{Arrangement, Round};
use super::few::{FEW_ROWS, Few};
use super::panel::{Line, Panel, panel_lines};

/// Multiplications below which one thread is faster than several.
const SERIAL: usize = 1 << 17;
/// Pieces of work of a product, at most, and the least bytes of codes in a piece.
const PIECES: usize = 64;
const PIECE_BYTES: usize = 64 * 1024;

/// An address that several threads use, each at its own offsets.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

// SAFETY: it is only an address; whoever reads or writes there answers for the memory and its threads.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Multiplies `rows` rows at `x` with the matrix, into `rows` rows at `out`. `parallel(count, task)` runs `task(0)` to
/// `task(count − 1)`, on several threads, and returns after the last.
///
/// # Safety
/// `set` is available. `x` has `rows` rows of whole blocks to read, `out` has `rows` rows of the matrix's columns to
/// write, and they do not overlap. The matrix has at least one column and one block.
pub unsafe fn multiply<T: Element, const BITS: usize, E>(
    set: DotSet,
    codes: &Codes<BITS>,
    (x, rows): (*const T, usize),
    out: *mut T,
    parallel: &impl Fn(usize, &(dyn Fn(usize) + Sync)) -> Result<(), E>,
) -> Result<(), E> {
    if rows == 0 {
        return Ok(());
    }
    let (columns, blocks) = (codes.columns, codes.blocks);
    let run = |count: usize, task: &(dyn Fn(usize) + Sync)| {
        if count > 1 && rows * columns * blocks * super::BLOCK >= SERIAL {
            return parallel(count, task);
        }
        (0..count).for_each(task);
        Ok(())
    };
    let arrangement = if rows <= FEW_ROWS { Arrangement::Few } else { Arrangement::Panel };
    let mut rounded = vec![Line::default(); arrangement.bytes(rows, blocks).div_ceil(size_of::<Line>())];
    let (rounded, x, out) = (Shared(rounded.as_mut_ptr().cast::<u8>()), Shared(x.cast_mut()), Shared(out));
    let (lanes, at_once) = set.tile();
    let round = |first: usize, rows: usize, offset: usize| {
        let from = x.at(first * blocks * super::BLOCK).cast_const();
        let to = rounded.at(offset);
        // SAFETY: the caller promises `set` and the rows, and `rounded` has room for all of them.
        unsafe { set.run(Round::<T, BITS> { from, rows, blocks, arrangement, to }) };
    };
    if arrangement == Arrangement::Few {
        round(0, rows, 0);
        let pieces = (columns * codes.code_bytes() / PIECE_BYTES).clamp(1, PIECES);
        let piece = columns.div_ceil(pieces).next_multiple_of(lanes);
        return run(columns.div_ceil(piece), &|i: usize| {
            let (from, to) = (i * piece, columns.min((i + 1) * piece));
            let work = Few { codes, from, to, rows, activations: rounded.at(0), out: out.at(0) };
            // SAFETY: the caller promises `set`, the matrix and `out`. No other piece has these columns.
            unsafe { set.run(work) };
        });
    }
    run(rows.div_ceil(at_once), &|tile: usize| {
        let first = tile * at_once;
        round(first, at_once.min(rows - first), arrangement.bytes(first, blocks));
    })?;
    let panels = columns.div_ceil(lanes);
    let piece = panels.div_ceil(PIECES);
    run(panels.div_ceil(piece), &|i: usize| {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(scratch.len().max(panel_lines(blocks)), Line::default());
            for panel in i * piece..panels.min((i + 1) * piece) {
                let (activations, out) = (rounded.at(0), out.at(0));
                let work = Panel { codes, column: panel * lanes, rows, activations, out, scratch };
                // SAFETY: as above; no other piece has this panel's columns.
                unsafe { set.run(work) };
            }
        });
    })
}
