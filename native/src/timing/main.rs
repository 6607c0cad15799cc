//! Runs one measurement of `altup_native::timing` and prints its result as JSON, for bench/native-timing.ts:
//!
//!     timing mixing <blocks> <length> <threads> <runs> <repeats>
//!     timing reading <bytes> <threads> <runs>

use altup_native::timing::{mixing_times, reading_speed};
use serde_json::json;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = arguments.iter().skip(1).filter_map(|text| text.parse().ok()).collect();
    let result = match (arguments.first().map(String::as_str), numbers.as_slice()) {
        (Some("mixing"), &[blocks, length, threads, runs, repeats]) => {
            let [kernel, memcpy, copy_loop] =
                mixing_times(blocks, length, threads, runs as u32, repeats as u32);
            json!({ "kernel": kernel, "memcpy": memcpy, "copyLoop": copy_loop })
        }
        (Some("reading"), &[bytes, threads, runs]) => json!(reading_speed(bytes, threads, runs as u32)),
        _ => panic!(
            "usage: timing mixing <blocks> <length> <threads> <runs> <repeats>, or reading <bytes> <threads> <runs>"
        ),
    };
    println!("{result}");
}
