use std::time::Instant;

use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use super::blocking::{Blocking, blocking};
use crate::timing::mixing_times;

#[napi(object)]
pub struct MixingTimes {
    /// Nanoseconds of each run of the CorrectPredict kernel.
    pub kernel: Vec<f64>,
    /// The same for memcpy: as many bytes read and written, in the same pieces, on the same threads.
    pub memcpy: Vec<f64>,
    /// The same for a loop of vector loads and stores, because memcpy has slow cases.
    pub copy_loop: Vec<f64>,
}

/// Times the CorrectPredict kernel (f32, in place), alternating with plain copies of the bytes it reads and writes.
#[napi]
pub fn time_mixing(
    blocks: u32,
    length: u32,
    threads: u32,
    runs: u32,
    repeats: u32,
) -> AsyncTask<Blocking<MixingTimes>> {
    blocking(move || {
        let [kernel, memcpy, copy_loop] =
            mixing_times(blocks as usize, length as usize, threads as usize, runs, repeats);
        Ok(MixingTimes { kernel, memcpy, copy_loop })
    })
}

/// Bytes per second at which `threads` threads read `bytes` bytes of memory: the best of `runs` tries.
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
