//! One operator for one element type, in ONNX Runtime's form.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use ort_sys::{
    ONNXTensorElementDataType, ORT_API_VERSION, OrtApi, OrtCustomOp, OrtCustomOpInputOutputCharacteristic,
    OrtKernelContext, OrtKernelInfo, OrtMemType, OrtShapeInferContext, OrtStatusPtr,
};

use super::compute::Compute;
use super::kernel_info::KernelInfo;
use super::shapes::Shapes;
use crate::ort::{Api, Result};

/// A kernel, with what ONNX Runtime must know about it in advance.
pub trait Kernel: Send + Sync + Sized + 'static {
    const NAME: &'static CStr;
    const TYPE: ONNXTensorElementDataType;
    /// The execution provider that owns the kernel's memory; None is the CPU.
    const PROVIDER: Option<&'static CStr> = None;
    const INPUTS: usize;
    const OUTPUTS: usize;
    /// Number of first outputs that may overwrite the input at the same position.
    const IN_PLACE: usize;

    /// Element type of an input. Most inputs have the operator's own type.
    fn input_type(_input: usize) -> ONNXTensorElementDataType {
        Self::TYPE
    }

    /// Element type of an output.
    fn output_type(_output: usize) -> ONNXTensorElementDataType {
        Self::TYPE
    }

    /// Whether this CPU computes the kernel faster than ONNX Runtime computes the function body.
    fn is_fast() -> bool {
        true
    }

    fn infer(shapes: &Shapes) -> Result<()>;
    fn create(info: &KernelInfo) -> Result<Self>;
    fn compute(&self, context: &Compute) -> Result<()>;
}

/// The target of `OrtCustomOp` pointers. ONNX Runtime reads the first field; our functions also read the rest.
#[repr(C)]
pub struct CustomOp {
    raw: OrtCustomOp,
    api: Api,
}

/// The kernel of one node.
struct Node<K> {
    kernel: K,
    api: Api,
}

impl CustomOp {
    pub fn new<K: Kernel>(api: Api) -> Self {
        let raw = OrtCustomOp {
            version: ORT_API_VERSION,
            CreateKernel: None,
            GetName: Some(name::<K>),
            GetExecutionProviderType: Some(execution_provider::<K>),
            GetInputType: Some(input_type::<K>),
            GetInputTypeCount: Some(input_count::<K>),
            GetOutputType: Some(output_type::<K>),
            GetOutputTypeCount: Some(output_count::<K>),
            KernelCompute: None,
            KernelDestroy: Some(destroy::<K>),
            GetInputCharacteristic: Some(required),
            GetOutputCharacteristic: Some(required),
            GetInputMemoryType: Some(memory_type),
            GetVariadicInputMinArity: Some(zero),
            GetVariadicInputHomogeneity: Some(zero),
            GetVariadicOutputMinArity: Some(zero),
            GetVariadicOutputHomogeneity: Some(zero),
            CreateKernelV2: Some(create::<K>),
            KernelComputeV2: Some(compute::<K>),
            InferOutputShapeFn: Some(infer::<K>),
            GetStartVersion: Some(start_version),
            GetEndVersion: Some(end_version),
            GetMayInplace: Some(may_in_place::<K>),
            ReleaseMayInplace: Some(keep),
            GetAliasMap: Some(no_aliases),
            ReleaseAliasMap: Some(keep),
        };
        Self { raw, api }
    }

    #[cfg(test)]
    pub fn name(&self) -> &str {
        let name = self.raw.GetName.expect("an operator has a name");
        // SAFETY: every operator returns the static string `Kernel::NAME`.
        unsafe { CStr::from_ptr(name(&self.raw)) }.to_str().expect("UTF-8")
    }

    pub fn as_ptr(&self) -> *const OrtCustomOp {
        &raw const self.raw
    }
}

/// # Safety
/// `op` points at the first field of a [`CustomOp`].
unsafe fn api_of(op: *const OrtCustomOp) -> Api {
    // SAFETY: `op` comes from `CustomOp::as_ptr`, so a whole `CustomOp` is there; `repr(C)` puts `raw` first.
    unsafe { (*op.cast::<CustomOp>()).api }
}

unsafe extern "system" fn name<K: Kernel>(_: *const OrtCustomOp) -> *const std::ffi::c_char {
    K::NAME.as_ptr()
}

unsafe extern "system" fn execution_provider<K: Kernel>(_: *const OrtCustomOp) -> *const std::ffi::c_char {
    K::PROVIDER.map_or(ptr::null(), CStr::as_ptr)
}

unsafe extern "system" fn input_type<K: Kernel>(
    _: *const OrtCustomOp,
    input: usize,
) -> ONNXTensorElementDataType {
    K::input_type(input)
}

unsafe extern "system" fn output_type<K: Kernel>(
    _: *const OrtCustomOp,
    output: usize,
) -> ONNXTensorElementDataType {
    K::output_type(output)
}

unsafe extern "system" fn input_count<K: Kernel>(_: *const OrtCustomOp) -> usize {
    K::INPUTS
}

unsafe extern "system" fn output_count<K: Kernel>(_: *const OrtCustomOp) -> usize {
    K::OUTPUTS
}

unsafe extern "system" fn required(_: *const OrtCustomOp, _: usize) -> OrtCustomOpInputOutputCharacteristic {
    OrtCustomOpInputOutputCharacteristic::INPUT_OUTPUT_REQUIRED
}

unsafe extern "system" fn memory_type(_: *const OrtCustomOp, _: usize) -> OrtMemType {
    OrtMemType::OrtMemTypeDefault
}

unsafe extern "system" fn zero(_: *const OrtCustomOp) -> c_int {
    0
}

unsafe extern "system" fn start_version(_: *const OrtCustomOp) -> c_int {
    1
}

unsafe extern "system" fn end_version(_: *const OrtCustomOp) -> c_int {
    c_int::MAX
}

/// Positions 0, 1, … of inputs and outputs. ONNX Runtime only reads them, although the pointer type is mutable.
static PLACES: [c_int; 4] = [0, 1, 2, 3];

unsafe extern "system" fn may_in_place<K: Kernel>(
    inputs: *mut *mut c_int,
    outputs: *mut *mut c_int,
) -> usize {
    const { assert!(K::IN_PLACE <= PLACES.len()) };
    // SAFETY: ONNX Runtime passes two pointers of its own and reads `IN_PLACE` numbers from PLACES, which has as many.
    unsafe {
        *inputs = PLACES.as_ptr().cast_mut();
        *outputs = PLACES.as_ptr().cast_mut();
    }
    K::IN_PLACE
}

unsafe extern "system" fn no_aliases(inputs: *mut *mut c_int, outputs: *mut *mut c_int) -> usize {
    // SAFETY: ONNX Runtime passes two pointers of its own, and reads nothing because the result is 0.
    unsafe {
        *inputs = ptr::null_mut();
        *outputs = ptr::null_mut();
    }
    0
}

unsafe extern "system" fn keep(_: *mut c_int, _: *mut c_int) {}

unsafe extern "system" fn create<K: Kernel>(
    op: *const OrtCustomOp,
    _: *const OrtApi,
    info: *const OrtKernelInfo,
    kernel: *mut *mut c_void,
) -> OrtStatusPtr {
    // SAFETY: ONNX Runtime passes the operator that we registered, and operators live as long as the process.
    let api = unsafe { api_of(op) };
    api.guard(|| {
        let node = Node { kernel: K::create(&KernelInfo::new(api, info, K::NAME))?, api };
        // SAFETY: ONNX Runtime passes a place for one pointer. It owns the node until it calls `destroy`.
        unsafe { *kernel = Box::into_raw(Box::new(node)).cast() };
        Ok(())
    })
}

unsafe extern "system" fn compute<K: Kernel>(
    node: *mut c_void,
    context: *mut OrtKernelContext,
) -> OrtStatusPtr {
    // SAFETY: `node` is what `create::<K>` made. Runs share it, since K and the table are Sync; `destroy` comes last.
    let Node { kernel, api } = unsafe { &*node.cast::<Node<K>>() };
    api.guard(|| kernel.compute(&Compute::new(*api, context, K::NAME)))
}

unsafe extern "system" fn destroy<K: Kernel>(node: *mut c_void) {
    // SAFETY: `create::<K>` made `node` with a Box, and ONNX Runtime destroys it once, after its last run.
    drop(unsafe { Box::from_raw(node.cast::<Node<K>>()) });
}

unsafe extern "system" fn infer<K: Kernel>(
    op: *const OrtCustomOp,
    context: *mut OrtShapeInferContext,
) -> OrtStatusPtr {
    // SAFETY: as in `create`.
    let api = unsafe { api_of(op) };
    api.guard(|| K::infer(&Shapes::new(api, context)))
}
