use std::collections::HashMap;
use std::ffi::{CStr, c_void};
use std::sync::{Mutex, PoisonError};

use cudarc::driver::result::{DriverError, device, init, launch_kernel, module};
use cudarc::driver::sys::{self, CUdevice_attribute_enum as Attribute, CUfunction};

use super::device::{Device, Launch};
use super::program::{Kernels, Source, compile};
use crate::ops::Compute;

/// NVIDIA's driver.
pub struct Cuda;

pub struct Loaded(Kernels<CUfunction>);

// SAFETY: CUDA lets any thread use these handles, and their module is never unloaded.
unsafe impl Send for Loaded {}
// SAFETY: as for Send; nothing changes the handles after `load`.
unsafe impl Sync for Loaded {}

/// Programs by device and source. A module belongs to the device's primary context, which ONNX Runtime never releases.
static LOADED: Mutex<Option<HashMap<(i32, Source), &'static Loaded>>> = Mutex::new(None);

impl Device for Cuda {
    const PROVIDER: Option<&'static CStr> = Some(c"CUDAExecutionProvider");
    type Program = Loaded;

    fn program(source: Source) -> Result<&'static Loaded, String> {
        open_driver()?;
        let mut ordinal = 0;
        // SAFETY: CUDA writes one number. ONNX Runtime or the caller has made its device current on this thread.
        unsafe { sys::cuCtxGetDevice(&mut ordinal) }.result().map_err(failed("cuCtxGetDevice"))?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get_or_insert_default();
        if let Some(program) = loaded.get(&(ordinal, source)) {
            return Ok(program);
        }
        let program: &'static Loaded = Box::leak(Box::new(load(ordinal, source)?));
        loaded.insert((ordinal, source), program);
        Ok(program)
    }

    fn stream(context: &Compute) -> crate::ort::Result<*mut c_void> {
        context.stream()
    }

    unsafe fn launch(
        program: &Loaded,
        launch: Launch,
        stream: *mut c_void,
        arguments: *const c_void,
    ) -> Result<(), String> {
        let kernel = program.0.of(&launch)?;
        let Launch { grid, threads, .. } = launch;
        let mut parameters = [arguments.cast_mut()];
        // SAFETY: the kernel takes one struct, which CUDA copies before this returns.
        unsafe {
            launch_kernel(kernel, (grid, 1, 1), (threads as u32, 1, 1), 0, stream.cast(), &mut parameters)
        }
        .map_err(failed("cuLaunchKernel"))
    }
}

/// Opens the driver's library and initialises it. Repeated calls are harmless.
pub fn open_driver() -> Result<(), String> {
    // SAFETY: only opens the library.
    if !unsafe { sys::is_culib_present() } {
        return Err("the CUDA driver (libcuda.so.1, nvcuda.dll) is not found".into());
    }
    init().map_err(failed("cuInit"))
}

/// The device's compute capability: 80 for 8.0.
pub fn compute_capability(ordinal: i32) -> Result<usize, String> {
    let attribute = |attribute| {
        // SAFETY: the driver writes one number, or fails if it has no such device.
        unsafe { device::get_attribute(ordinal, attribute) }
            .map(|value| value as usize)
            .map_err(failed("cuDeviceGetAttribute"))
    };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok(10 * major + minor)
}

fn load(ordinal: i32, source: Source) -> Result<Loaded, String> {
    let (mut image, _) = compile(source, compute_capability(ordinal)?)?;
    image.push(0); // PTX ends with a zero.
    // SAFETY: NVRTC made the image; the module is never unloaded.
    let kernels = unsafe {
        let module = module::load_data(image.as_ptr().cast()).map_err(failed("cuModuleLoadData"))?;
        Kernels::load(source, |name| {
            module::get_function(module, name).map_err(failed("cuModuleGetFunction"))
        })?
    };
    Ok(Loaded(kernels))
}

/// Words the error of a call of the driver, so that the log says which call failed.
pub fn failed(call: &'static str) -> impl Fn(DriverError) -> String {
    move |error| {
        let text = |part: Result<&CStr, DriverError>| {
            part.map_or_else(|_| format!("{:?}", error.0), |text| text.to_string_lossy().into_owned())
        };
        format!("CUDA: {call}: {} ({})", text(error.error_string()), text(error.error_name()))
    }
}
