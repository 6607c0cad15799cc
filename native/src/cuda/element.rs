use ort_sys::ONNXTensorElementDataType as Type;

/// Element types of the kernels, with their numbers in kernels.cu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    Float = 0,
    Float16 = 1,
    Bfloat16 = 2,
}

impl Element {
    pub const fn of(element: Type) -> Self {
        match element {
            Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT => Self::Float,
            Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 => Self::Float16,
            _ => Self::Bfloat16,
        }
    }

    pub fn size(self) -> usize {
        if self == Self::Float { 4 } else { 2 }
    }
}
