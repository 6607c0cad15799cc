//! NVRTC compiles every variant for the devices that matter. `native/test` installs NVRTC and runs these tests too.

use std::path::{Path, PathBuf};

use crate::cuda::device::Variant;
use crate::cuda::element::Element;
use crate::cuda::program::{Source, compile};
use crate::kernels::matrix::MAX_BLOCKS;
use crate::session::SAMPLING_SIZES;

/// The libraries of the package nvidia-cuda-nvrtc: the compiler and its builtins.
fn installed() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/lib")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with("libnvrtc") && !name.contains("alt") {
                found.push(path);
            } else if ["python", "site-packages", "nvidia", "cu", "lib"].iter().any(|on| name.starts_with(on))
            {
                folders.push(path);
            }
        }
    }
    found
}

/// Opens NVRTC by its path, so that later code finds it by its name.
fn with_nvrtc() {
    let libraries = installed();
    assert!(!libraries.is_empty(), "native/install-tools installs nvidia-cuda-nvrtc");
    for path in libraries {
        // SAFETY: initialisers of CUDA's libraries have no preconditions.
        std::mem::forget(unsafe { libloading::Library::new(&path) }.expect("NVRTC opens"));
    }
}

/// Kernel names, with the bytes that each kernel spills.
fn spills(log: &str) -> Vec<(String, u32)> {
    let mut kernels = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            kernels.push((rest.split('\'').next().unwrap_or_default().to_owned(), 0));
        } else if let (Some((_, rest)), Some(last)) =
            (line.split_once("bytes stack frame, "), kernels.last_mut())
        {
            last.1 = rest.split(' ').next().and_then(|bytes| bytes.parse().ok()).expect("a number of bytes");
        }
    }
    kernels
}

#[test]
#[ignore = "needs NVRTC"]
fn compiles_every_variant_without_spilling() {
    with_nvrtc();
    for capability in [75, 90, 120] {
        for element in [Element::Float, Element::Float16, Element::Bfloat16] {
            for blocks in [1, 4, MAX_BLOCKS] {
                spills_nothing(Source::Operators(Variant { element, blocks }), capability);
            }
        }
        spills_nothing(Source::Sampling(SAMPLING_SIZES), capability);
    }
}

/// The kernels for rows that are not aligned may spill.
fn spills_nothing(source: Source, capability: usize) {
    let (image, log) = compile(source, capability).unwrap();
    assert!(image.starts_with(b"\x7fELF"), "machine code, not PTX");
    let kernels = spills(&log);
    let versions: usize = source.kernels().map(|(_, has_unaligned)| 1 + usize::from(has_unaligned)).sum();
    assert_eq!(kernels.len(), versions, "{log}");
    for (name, _) in source.kernels() {
        let spilt = kernels.iter().find(|(kernel, _)| kernel == name);
        assert_eq!(spilt, Some(&(name.to_owned(), 0)), "{source:?}, sm_{capability}");
    }
}

const HALF: Source = Source::Operators(Variant { element: Element::Float16, blocks: 2 });

#[test]
#[ignore = "needs NVRTC"]
fn compiles_for_the_driver_where_the_device_is_newer_than_the_compiler() {
    with_nvrtc();
    let (image, _) = compile(HALF, 999).unwrap();
    assert!(String::from_utf8(image).unwrap().contains(".entry correct_predict("));
}

#[test]
#[ignore = "needs NVRTC"]
fn says_what_the_compiler_says() {
    with_nvrtc();
    let error = compile(HALF, 61).err().unwrap();
    assert!(error.contains("compute capability 6.1"), "{error}");
}
