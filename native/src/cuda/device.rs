use std::ffi::{CStr, c_void};

use super::element::Element;
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

/// The kernels of kernels.cu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Predict,
    Correct,
    CorrectPredict,
    Sum,
    MoveRows,
    ExpandMatch,
    CollapseMatch,
    GaussianTopK,
    SequencePredictCorrect,
}

impl Function {
    pub const ALL: [Self; 9] = [
        Self::Predict,
        Self::Correct,
        Self::CorrectPredict,
        Self::Sum,
        Self::MoveRows,
        Self::ExpandMatch,
        Self::CollapseMatch,
        Self::GaussianTopK,
        Self::SequencePredictCorrect,
    ];

    /// Its names in kernels.cu: the vector version, then the element-by-element version.
    pub fn names(self) -> [&'static CStr; 2] {
        match self {
            Self::Predict => [c"predict", c"predict_unaligned"],
            Self::Correct => [c"correct", c"correct_unaligned"],
            Self::CorrectPredict => [c"correct_predict", c"correct_predict_unaligned"],
            Self::Sum => [c"sum", c"sum_unaligned"],
            Self::MoveRows => [c"move_rows", c"move_rows_unaligned"],
            Self::ExpandMatch => [c"expand_match", c"expand_match_unaligned"],
            Self::CollapseMatch => [c"collapse_match", c"collapse_match_unaligned"],
            Self::GaussianTopK => [c"gaussian_top_k", c"gaussian_top_k_unaligned"],
            Self::SequencePredictCorrect => {
                [c"sequence_predict_correct", c"sequence_predict_correct_unaligned"]
            }
        }
    }
}

/// A kernel and the thread blocks that it runs in.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    pub function: Function,
    pub is_aligned: bool,
    pub grid: u32,
    pub threads: usize,
}

/// Where kernels run: CUDA, or the host in tests. Errors contain the device's own message.
pub trait Device: 'static {
    /// The execution provider that owns the kernels' memory; None is the CPU.
    const PROVIDER: Option<&'static CStr>;
    /// A compiled variant, kept for the life of the process.
    type Program: Sync + 'static;

    /// Returns the variant's program. Compiles it once per device and process.
    fn program(variant: Variant) -> Result<&'static Self::Program, String>;

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
