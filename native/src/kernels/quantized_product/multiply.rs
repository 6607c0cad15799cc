use super::super::dots::PANEL;
use super::super::element::Element;
use super::activations::{RECORD, Round};
use super::packed::Packed;
use super::panel::Panel;

/// Multiplications below which one thread is faster than several.
const SERIAL: usize = 1 << 17;
/// Pieces of work of a product, at most, and the least bytes of the matrix in a piece.
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

/// Multiplies `rows` rows at `x` with the matrix, into `rows` rows at `out`. `parallel(count, task)` runs `task(0)` to
/// `task(count − 1)`, on several threads, and returns after the last.
///
/// # Safety
/// `x` has `rows` rows of whole blocks to read, `out` has `rows` rows of the matrix's columns to write, and they do not
/// overlap.
pub unsafe fn multiply<T: Element, const BITS: usize, E>(
    matrix: &Packed<BITS>,
    (x, rows): (*const T, usize),
    out: *mut T,
    parallel: &impl Fn(usize, &(dyn Fn(usize) + Sync)) -> Result<(), E>,
) -> Result<(), E> {
    let Packed { set, columns, blocks, .. } = *matrix;
    let at_once = set.rows();
    let run = |count: usize, task: &(dyn Fn(usize) + Sync)| {
        if count > 1 && rows * columns * blocks * super::BLOCK >= SERIAL {
            return parallel(count, task);
        }
        (0..count).for_each(task);
        Ok(())
    };
    // Every byte is written before it is read.
    let mut rounded = Vec::<u8>::with_capacity(rows * blocks * RECORD);
    let (rounded, x, out) = (Shared(rounded.as_mut_ptr()), Shared(x.cast_mut()), Shared(out));
    let round = |tile: usize| {
        let first = tile * at_once;
        let rows = at_once.min(rows - first);
        let from = x.at(first * blocks * super::BLOCK).cast_const();
        let to = rounded.at(first * blocks * RECORD);
        // SAFETY: `set` is available, the caller promises the rows, and `rounded` has room for all of them.
        unsafe { set.run(Round::<T, BITS> { from, rows, blocks, to }) };
    };
    // A single tile is rounded sooner than a second thread begins.
    if rows <= at_once {
        (0..rows.div_ceil(at_once)).for_each(round)
    } else {
        run(rows.div_ceil(at_once), &round)?
    };
    let panels = columns.div_ceil(PANEL);
    let pieces = (panels * matrix.panel_bytes() / PIECE_BYTES).clamp(1, PIECES);
    let piece = panels.div_ceil(pieces);
    run(panels.div_ceil(piece), &|i: usize| {
        for index in i * piece..panels.min((i + 1) * piece) {
            let work = Panel { matrix, index, rows, activations: rounded.at(0), out: out.at(0) };
            // SAFETY: `set` is available, and the caller promises `out`. No other piece has this panel's columns.
            unsafe { set.run(work) };
        }
    })
}
