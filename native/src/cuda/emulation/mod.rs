//! Compiles the CUDA sources for the host. Tests run the same source, and all code that launches it, through ONNX Runtime on
//! machines without a GPU.

use std::collections::HashMap;
use std::ffi::{CStr, c_void};
use std::path::Path;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::device::{Device, Launch};
use super::program::{Kernels, Source};
use crate::ops::Compute;

pub struct Emulation;

type Kernel = unsafe extern "C" fn(grid: u32, arguments: *const c_void);

pub struct Loaded(Kernels<Kernel>);

static LOADED: Mutex<Option<HashMap<Source, &'static Loaded>>> = Mutex::new(None);
/// Grids share the emulated indices, so only one runs at a time.
static RUNNING: Mutex<()> = Mutex::new(());

impl Device for Emulation {
    const PROVIDER: Option<&'static CStr> = None;
    type Program = Loaded;

    fn program(source: Source) -> Result<&'static Loaded, String> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get_or_insert_default();
        if let Some(program) = loaded.get(&source) {
            return Ok(program);
        }
        let program: &'static Loaded = Box::leak(Box::new(load(source)));
        loaded.insert(source, program);
        Ok(program)
    }

    fn stream(_: &Compute) -> crate::ort::Result<*mut c_void> {
        Ok(ptr::null_mut())
    }

    unsafe fn launch(
        program: &Loaded,
        launch: Launch,
        _: *mut c_void,
        arguments: *const c_void,
    ) -> Result<(), String> {
        let _one = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let kernel = program.0.of(&launch)?;
        // SAFETY: the caller promises this kernel's struct with valid addresses. The lock keeps other grids out.
        unsafe { kernel(launch.grid, arguments) };
        Ok(())
    }
}

fn load(source: Source) -> Loaded {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cuda");
    let file = source.file();
    // The loader takes a name that it knows for the library that it has.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("altup-{file}-{}-{}.so", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let library = std::env::temp_dir().join(name);
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let status = Command::new(&compiler)
        .args(["-std=c++17", "-O1", "-shared", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off"])
        .args(["-x", "c++", "-include"])
        .arg(folder.join("emulation/host.hpp"))
        .args(source.definitions().iter().map(|(name, value)| format!("-D{name}={value}")))
        .arg(folder.join(file))
        .arg("-o")
        .arg(&library)
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{compiler} compiles {file} for the host");
    // SAFETY: the library is built from our own source, its functions have this type, and it stays loaded.
    unsafe {
        let opened = libloading::Library::new(&library).expect("a library that was just made");
        let kernels = Kernels::load(source, |name| {
            opened.get::<Kernel>(name.as_bytes()).map(|kernel| *kernel).map_err(|error| error.to_string())
        })
        .expect("every kernel of the source");
        std::mem::forget(opened);
        let _ = std::fs::remove_file(&library);
        Loaded(kernels)
    }
}
