use std::time::Instant;

use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use super::blocking::{Blocking, blocking};
use crate::kernels::matrix::Reads;
use crate::kernels::{Matrix, Mixer};

#[napi(object)]
pub struct MixingTimes {
    /// Nanoseconds of each run of the CorrectPredict kernel.
    pub kernel: Vec<f64>,
    /// The same of a copy of as many bytes.
    pub copy: Vec<f64>,
}

/// Times the CorrectPredict kernel (f32, in place) and, in turn with it, a plain copy of the bytes it reads and writes.
#[napi]
pub fn time_mixing(blocks: u32, length: u32, runs: u32, repeats: u32) -> AsyncTask<Blocking<MixingTimes>> {
    blocking(move || Ok(measure(blocks as usize, length as usize, runs, repeats)))
}

fn measure(blocks: usize, length: usize, runs: u32, repeats: u32) -> MixingTimes {
    let correct = Matrix::correct(blocks, 0, |_| 0.5);
    let predict = |i: usize| if i.is_multiple_of(blocks + 1) { 0.5 } else { 0.1 };
    let matrix = Matrix::correct_predict(&correct, 1 % blocks, Reads::Corrected, predict);
    let mixer = Mixer::<f32>::new(blocks + 1, blocks + 1);
    let mut rows = vec![vec![1.0_f32; length]; blocks + 1];
    let ins: Vec<*const f32> = rows.iter_mut().map(|row| row.as_mut_ptr().cast_const()).collect();
    let outs: Vec<*mut f32> = ins.iter().map(|row| row.cast_mut()).collect();
    let (from, mut to) = (vec![1.0_f32; (blocks + 1) * length], vec![0.0_f32; (blocks + 1) * length]);
    let mut times = MixingTimes { kernel: Vec::new(), copy: Vec::new() };
    for _ in 0..runs {
        let start = Instant::now();
        for _ in 0..repeats {
            // SAFETY: every row holds `length` numbers and is written over itself.
            unsafe { mixer.run(&matrix, &ins, &outs, length) };
        }
        times.kernel.push(start.elapsed().as_nanos() as f64 / f64::from(repeats));
        let start = Instant::now();
        for _ in 0..repeats {
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
        }
        times.copy.push(start.elapsed().as_nanos() as f64 / f64::from(repeats));
    }
    times
}

/// Bytes per second at which `threads` threads read `bytes` of memory, the best of `runs` tries.
#[napi]
pub fn time_reading(bytes: f64, threads: u32, runs: u32) -> AsyncTask<Blocking<f64>> {
    blocking(move || {
        let words = vec![1_u64; bytes as usize / 8];
        let piece = words.len().div_ceil(threads as usize);
        let once = |_| {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for part in words.chunks(piece) {
                    scope.spawn(|| {
                        std::hint::black_box(part.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)))
                    });
                }
            });
            (words.len() * 8) as f64 / start.elapsed().as_secs_f64()
        };
        Ok((0..runs).map(once).fold(0.0, f64::max))
    })
}
