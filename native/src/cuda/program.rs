//! Compiles CUDA sources to an image for one kind of device, with NVRTC.

use std::ffi::{CStr, CString, c_char};

use cudarc::nvrtc::result::NvrtcError;
use cudarc::nvrtc::{result, sys};

use super::device::{Launch, Variant};
use super::launch::{ROW_THREADS, THREADS};

/// What is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// kernels.cu.
    Operators(Variant),
    /// sampling.cu.
    Sampling(SamplingSizes),
}

/// How sampling.cu spreads a row of logits over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SamplingSizes {
    /// Tokens of a thread block where several share a row.
    pub chunk: usize,
    pub chunk_threads: usize,
    /// Threads of a thread block that has a row for itself; a multiple of 32.
    pub row_threads: usize,
}

/// Most alternatives of a token that sampling.cu finds.
pub const ALTERNATIVES: usize = 20;

impl Source {
    pub const fn file(self) -> &'static str {
        match self {
            Self::Operators(_) => "kernels.cu",
            Self::Sampling(_) => "sampling.cu",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Operators(_) => include_str!("kernels.cu"),
            Self::Sampling(_) => include_str!("sampling.cu"),
        }
    }

    /// The kernels that it defines with its macros KERNEL, and KERNELS if there is a version for unaligned rows.
    pub fn kernels(self) -> impl Iterator<Item = (&'static str, bool)> {
        self.text().lines().filter_map(|line| {
            let has_unaligned = line.starts_with("KERNELS(");
            let rest = line.strip_prefix(if has_unaligned { "KERNELS(" } else { "KERNEL(" })?;
            Some((rest.split(',').next()?, has_unaligned))
        })
    }

    /// The macros that it needs, with their values.
    pub fn definitions(self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Operators(variant) => vec![
                ("ELEMENT", variant.element as usize),
                ("BLOCKS", variant.blocks),
                ("LANES", variant.lanes()),
                ("WIDE", variant.wide()),
                ("THREADS", THREADS),
                ("ROW_THREADS", ROW_THREADS),
            ],
            Self::Sampling(sizes) => vec![
                ("CHUNK", sizes.chunk),
                ("CHUNK_THREADS", sizes.chunk_threads),
                ("ROW_THREADS", sizes.row_threads),
                ("ALTERNATIVES", ALTERNATIVES),
            ],
        }
    }

    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Operators(_) => &[],
            Self::Sampling(_) => &["--fmad=false"],
        }
    }
}

/// The kernels of a compiled source, by name: the version for aligned rows and the one for others.
pub struct Kernels<F>(Vec<(&'static str, [F; 2])>);

impl<F: Copy> Kernels<F> {
    /// Finds every kernel with `find`.
    pub fn load(source: Source, mut find: impl FnMut(CString) -> Result<F, String>) -> Result<Self, String> {
        let mut version = |name: String| find(CString::new(name).expect("no source holds a zero byte"));
        let kernels = source.kernels().map(|(name, has_unaligned)| {
            let aligned = version(name.into())?;
            let unaligned = if has_unaligned { version(format!("{name}_unaligned"))? } else { aligned };
            Ok((name, [aligned, unaligned]))
        });
        kernels.collect::<Result<_, String>>().map(Self)
    }

    pub fn of(&self, launch: &Launch) -> Result<F, String> {
        let found = self.0.iter().find(|(name, _)| *name == launch.kernel);
        let (_, versions) = found.ok_or_else(|| format!("there is no kernel {}", launch.kernel))?;
        Ok(versions[usize::from(!launch.is_aligned)])
    }
}

/// Compiles a source for compute capability `capability` (80 for 8.0). Returns an image and the compiler's log, with
/// the registers and spills of every kernel. The image is a cubin, or PTX for the driver to compile if this NVRTC does
/// not know the device.
///
/// # Errors
/// NVRTC cannot be opened, does not support the device, or reports errors in the source.
pub fn compile(source: Source, capability: usize) -> Result<(Vec<u8>, String), String> {
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
    options.extend(source.options().iter().map(|option| (*option).to_owned()));
    options.extend(source.definitions().iter().map(|(name, value)| format!("-D{name}={value}")));
    let text_of = |text: &str| CString::new(text).expect("no source holds a zero byte");
    let program = result::create_program(&text_of(source.text()), Some(&text_of(source.file())))
        .map_err(|error| failure("create a program", error, ""))?;
    // SAFETY: the program lives until it is destroyed below.
    unsafe {
        let compiled = result::compile_program(program, &options);
        let log = result::get_program_log(program).map(text).unwrap_or_default();
        let image = compiled.and_then(|()| image(program, target.starts_with("sm_")));
        let _ = result::destroy_program(program);
        match image {
            Ok(bytes) => Ok((bytes, log)),
            Err(error) => Err(failure(&format!("compile {} for {target}", source.file()), error, &log)),
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
