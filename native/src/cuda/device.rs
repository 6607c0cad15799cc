use std::ffi::{CStr, c_void};

use super::element::Element;
use super::program::Source;
use crate::ops::Compute;

/// The parameters of a compiled program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    pub element: Element,
    /// K; 1 for operators without blocks.
    pub blocks: usize,
}

impl Variant {
    /// Elements in 16 bytes, the maximum of one load.
    pub fn wide(self) -> usize {
        16 / self.element.size()
    }

    /// Elements of each block that one thread mixes. Many blocks leave registers for fewer elements.
    pub fn lanes(self) -> usize {
        let fitting = (64 / self.blocks).max(1);
        self.wide().min(1 << fitting.ilog2())
    }
}

/// A kernel and the thread blocks that it runs in.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Its name in the source.
    pub kernel: &'static str,
    pub is_aligned: bool,
    pub grid: u32,
    pub threads: usize,
}

/// Where kernels run: CUDA, or the host in tests. Errors contain the device's own message.
pub trait Device: 'static {
    /// The execution provider that owns the kernels' memory; None is the CPU.
    const PROVIDER: Option<&'static CStr>;
    /// A compiled source, kept for the life of the process.
    type Program: Sync + 'static;

    /// Returns the source's program. Compiles it once per device and process.
    fn program(source: Source) -> Result<&'static Self::Program, String>;

    /// The stream for this call's work, from ONNX Runtime.
    fn stream(context: &Compute) -> crate::ort::Result<*mut c_void>;

    /// # Safety
    /// `arguments` is the kernel's struct, and its pointers are valid for everything the kernel reads and writes.
    unsafe fn launch(
        program: &Self::Program,
        launch: Launch,
        stream: *mut c_void,
        arguments: *const c_void,
    ) -> Result<(), String>;
}
