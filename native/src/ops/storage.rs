use half::{bf16, f16};
use ort_sys::ONNXTensorElementDataType as Type;

use crate::kernels::Element;

/// An element type with ONNX Runtime's name for it.
pub trait Storage: Element {
    const TYPE: Type;
}

impl Storage for f32 {
    const TYPE: Type = Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

impl Storage for f16 {
    const TYPE: Type = Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
}

impl Storage for bf16 {
    const TYPE: Type = Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
}
