use std::time::Instant;

use crate::kernels::quantized_product::Piece;

/// Bytes per second at which `threads` threads read `bytes` bytes of memory: the best of `runs` tries.
///
/// The memory is in huge pages where the system has them, as packed matrices are. Small pages are slower to read.
pub fn reading_speed(bytes: usize, threads: usize, runs: u32) -> f64 {
    let mut memory = Piece::new(bytes).expect("memory to read");
    memory.bytes_mut().fill(1);
    // SAFETY: every pattern of bits is a u64.
    let (_, words, _) = unsafe { memory.bytes_mut().align_to::<u64>() };
    let piece = words.len().div_ceil(threads);
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
    (0..runs).map(once).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::reading_speed;

    #[test]
    fn is_a_finite_speed_also_for_pieces_of_different_lengths() {
        let speed = reading_speed(8 * 1001, 2, 3);
        assert!(speed > 0.0 && speed.is_finite(), "{speed}");
    }
}
