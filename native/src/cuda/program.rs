//! Compiles kernels.cu to an image for one kind of device, with NVRTC.

use std::ffi::{CStr, CString, c_char};

use cudarc::nvrtc::result::NvrtcError;
use cudarc::nvrtc::{result, sys};

use super::device::{Launch, Variant};
use super::launch::{ROW_THREADS, THREADS};

const SOURCE: &str = include_str!("kernels.cu");

/// The kernels of a compiled variant, by name: the vector version and the element-by-element version of each.
pub struct Kernels<F>(Vec<(&'static str, [F; 2])>);

impl<F: Copy> Kernels<F> {
    /// Finds every kernel of kernels.cu with `find`.
    pub fn load(mut find: impl FnMut(CString) -> Result<F, String>) -> Result<Self, String> {
        let mut version = |name: String| find(CString::new(name).expect("kernels.cu holds no zero byte"));
        let kernels =
            names().map(|name| Ok((name, [version(name.into())?, version(format!("{name}_unaligned"))?])));
        kernels.collect::<Result<_, String>>().map(Self)
    }

    pub fn of(&self, launch: &Launch) -> Result<F, String> {
        let found = self.0.iter().find(|(name, _)| *name == launch.kernel);
        let (_, versions) = found.ok_or_else(|| format!("kernels.cu has no kernel {}", launch.kernel))?;
        Ok(versions[usize::from(!launch.is_aligned)])
    }
}

/// The kernels that kernels.cu defines with its macro KERNELS.
pub fn names() -> impl Iterator<Item = &'static str> {
    SOURCE.lines().filter_map(|line| line.strip_prefix("KERNELS(")?.split(',').next())
}

/// The macros that kernels.cu needs, with their values for a variant.
pub fn definitions(variant: Variant) -> [(&'static str, usize); 6] {
    [
        ("ELEMENT", variant.element as usize),
        ("BLOCKS", variant.blocks),
        ("LANES", variant.lanes()),
        ("WIDE", variant.wide()),
        ("THREADS", THREADS),
        ("ROW_THREADS", ROW_THREADS),
    ]
}

/// Compiles a variant for compute capability `capability` (80 for 8.0). Returns an image and the compiler's log, with
/// the registers and spills of every kernel. The image is a cubin, or PTX for the driver to compile if this NVRTC does
/// not know the device.
///
/// # Errors
/// NVRTC cannot be opened, does not support the device, or reports errors in the source.
pub fn compile(variant: Variant, capability: usize) -> Result<(Vec<u8>, String), String> {
    // SAFETY: only opens the library.
    if !unsafe { sys::is_culib_present() } {
        return Err("NVRTC, CUDA's run-time compiler, is not found: install it (libnvrtc.so, \
                    nvrtc64_*.dll) and put its folder on the library path"
            .into());
    }
    let target = architecture(capability, &supported().map_err(|error| failure("query", error, ""))?)?;
    let mut options = vec![
        format!("--gpu-architecture={target}"),
        "--std=c++17".to_owned(),
        "--ptxas-options=-v".to_owned(),
    ];
    options.extend(definitions(variant).map(|(name, value)| format!("-D{name}={value}")));
    let source = CString::new(SOURCE).expect("kernels.cu holds no zero byte");
    let program = result::create_program(&source, Some(c"kernels.cu"))
        .map_err(|error| failure("create a program", error, ""))?;
    // SAFETY: the program lives until it is destroyed below.
    unsafe {
        let compiled = result::compile_program(program, &options);
        let log = result::get_program_log(program).map(text).unwrap_or_default();
        let image = compiled.and_then(|()| image(program, target.starts_with("sm_")));
        let _ = result::destroy_program(program);
        match image {
            Ok(bytes) => Ok((bytes, log)),
            Err(error) => Err(failure(&format!("compile kernels.cu for {target}"), error, &log)),
        }
    }
}

/// # Safety
/// `program` is compiled.
unsafe fn image(program: sys::nvrtcProgram, is_binary: bool) -> Result<Vec<u8>, NvrtcError> {
    let mut size = 0;
    // SAFETY: the caller has compiled the program. NVRTC writes as many bytes as it has just announced.
    unsafe {
        if !is_binary {
            return Ok(result::get_ptx(program)?.into_iter().map(|byte| byte as u8).collect());
        }
        sys::nvrtcGetCUBINSize(program, &mut size).result()?;
        let mut bytes = vec![0_u8; size];
        sys::nvrtcGetCUBIN(program, bytes.as_mut_ptr().cast()).result()?;
        Ok(bytes)
    }
}

fn supported() -> Result<Vec<i32>, NvrtcError> {
    let mut count = 0;
    // SAFETY: NVRTC writes the number of values that it has announced.
    unsafe {
        sys::nvrtcGetNumSupportedArchs(&mut count).result()?;
        let mut known = vec![0; count as usize];
        sys::nvrtcGetSupportedArchs(known.as_mut_ptr()).result()?;
        Ok(known)
    }
}

/// Machine code if NVRTC knows the device; otherwise PTX for the newest older device that it knows.
fn architecture(capability: usize, known: &[i32]) -> Result<String, String> {
    let wanted = capability as i32;
    match known.iter().copied().filter(|arch| *arch <= wanted).max() {
        Some(arch) if arch == wanted => Ok(format!("sm_{arch}")),
        Some(arch) => Ok(format!("compute_{arch}")),
        None => Err(format!(
            "NVRTC does not compile for this device's compute capability {}.{}",
            wanted / 10,
            wanted % 10
        )),
    }
}

fn failure(what: &str, NvrtcError(code): NvrtcError, log: &str) -> String {
    // SAFETY: NVRTC returns a static string.
    let reason = unsafe { CStr::from_ptr(sys::nvrtcGetErrorString(code)) }.to_string_lossy();
    format!("NVRTC could not {what}: {reason}{}{log}", if log.is_empty() { "" } else { "\n" })
}

fn text(characters: Vec<c_char>) -> String {
    let bytes: Vec<u8> = characters.into_iter().map(|c| c as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::architecture;

    #[test]
    fn takes_machine_code_where_the_device_is_known_and_ptx_of_an_older_one_otherwise() {
        let known = [75, 80, 86, 90];
        assert_eq!(architecture(80, &known).unwrap(), "sm_80");
        assert_eq!(architecture(87, &known).unwrap(), "compute_86");
        assert_eq!(architecture(121, &known).unwrap(), "compute_90");
        assert!(architecture(61, &known).unwrap_err().contains("compute capability 6.1"));
    }
}
