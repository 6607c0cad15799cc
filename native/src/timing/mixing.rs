use std::time::Instant;

use super::team::with_team;
use crate::kernels::instruction_set::Vectorised;
use crate::kernels::lanes::Lanes;
use crate::kernels::matrix::Reads;
use crate::kernels::{InstructionSet, Matrix, Mixer};
use crate::ops::{PIECE, SERIAL};

/// Start addresses of a benchmark's rows. Threads take different pieces of them.
#[derive(Clone)]
struct Rows(Vec<*mut f32>);

// SAFETY: a shared `Rows` only calculates addresses. Whoever accesses them, in unsafe code, keeps threads apart.
unsafe impl Sync for Rows {}

impl Rows {
    fn of(rows: &mut [Vec<f32>]) -> Self {
        Self(rows.iter_mut().map(|row| row.as_mut_ptr()).collect())
    }

    fn at(&self, offset: usize) -> impl Iterator<Item = *mut f32> {
        self.0.iter().map(move |row| row.wrapping_add(offset))
    }
}

struct CopyLoop(*const f32, *mut f32, usize);

impl Vectorised for CopyLoop {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self(from, to, length) = self;
        // SAFETY: `mixing_times` gives addresses in two different vectors, both with `length` numbers left. Whole
        // vectors end within `length`, then just the rest is copied. The caller promises a CPU with `L`.
        unsafe {
            let mut at = 0;
            while at + L::WIDTH <= length {
                L::store_f32(to.add(at), L::load_f32(from.add(at)));
                at += L::WIDTH;
            }
            from.add(at).copy_to_nonoverlapping(to.add(at), length - at);
        }
    }
}

/// Nanoseconds of each run of the CorrectPredict kernel, of memcpy, and of a loop of vector loads and stores, which has
/// none of memcpy's slow cases.
pub fn mixing_times(blocks: usize, length: usize, threads: usize, runs: u32, repeats: u32) -> [Vec<f64>; 3] {
    let correct = Matrix::correct(blocks, 0, |_| 0.5);
    // Rows add up to 1. Otherwise values would shrink with every run, become denormal and slow down the kernel.
    let others = 0.1 / (blocks.max(2) - 1) as f32;
    let predict = |i: usize| if i.is_multiple_of(blocks + 1) { 0.9 } else { others };
    let matrix = Matrix::correct_predict(&correct, 1 % blocks, Reads::Corrected, predict);
    let mixer = Mixer::<f32>::new(blocks + 1, blocks + 1);
    let set = InstructionSet::fastest();
    let mut storage = [1.0, 1.0, 0.0].map(|value| vec![vec![value; length]; blocks + 1]);
    let [mixed, from, to] = storage.each_mut().map(|rows| Rows::of(rows));
    // The pieces are the same as in the node.
    let size = if length < SERIAL { length } else { PIECE };
    let span = |piece: usize| (piece * size, size.min(length - piece * size));
    let mix = |piece: usize| {
        let (start, count) = span(piece);
        let outs: Vec<*mut f32> = mixed.at(start).collect();
        let ins: Vec<*const f32> = outs.iter().map(|row| row.cast_const()).collect();
        // SAFETY: every row is its own vector of `length` numbers, where this piece ends at the latest, and outlives
        // the team. The team gives each piece to one thread. The same rows are read and written.
        unsafe { mixer.run(&matrix, &ins, &outs, count) };
    };
    let memcpy = |piece: usize| {
        let (start, count) = span(piece);
        from.at(start)
            .zip(to.at(start))
            // SAFETY: as above; `from` and `to` are in different vectors, and nothing else is written.
            .for_each(|(from, to)| unsafe { from.copy_to_nonoverlapping(to, count) });
    };
    let copy_loop = |piece: usize| {
        let (start, count) = span(piece);
        // SAFETY: as above; this CPU has `set`, its fastest.
        from.at(start).zip(to.at(start)).for_each(|(from, to)| unsafe { set.run(CopyLoop(from, to, count)) });
    };
    let mut times = [const { Vec::new() }; 3];
    with_team(threads, |team| {
        let time = |task: &(dyn Fn(usize) + Sync)| {
            let start = Instant::now();
            (0..repeats).for_each(|_| team.run(length.div_ceil(size), task));
            start.elapsed().as_nanos() as f64 / f64::from(repeats)
        };
        for _ in 0..runs {
            times[0].push(time(&mix));
            times[1].push(time(&memcpy));
            times[2].push(time(&copy_loop));
        }
    });
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_each_of_the_three_once_a_run() {
        for (length, threads) in [(5, 1), (SERIAL + 3, 2)] {
            let times = mixing_times(2, length, threads, 2, 1);
            assert!(
                times.iter().all(|own| own.len() == 2 && own.iter().all(|time| *time > 0.0)),
                "{times:?}"
            );
        }
    }
}
