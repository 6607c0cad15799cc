use std::ffi::{CStr, CString, c_char};
use std::ptr;

use ort_sys::{ONNXTensorElementDataType, OrtOpAttrType, OrtShapeInferContext, OrtTensorTypeAndShapeInfo};

use crate::ort::{Api, Result};

/// A size, or the name of a size that is known when the model runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    Size(i64),
    Named(CString),
}

/// Shape inference of a node while the graph loads. Its shapes let ONNX Runtime reuse buffers in place; unknown shapes
/// are not reported.
pub struct Shapes {
    api: Api,
    context: *mut OrtShapeInferContext,
}

impl Shapes {
    pub fn new(api: Api, context: *mut OrtShapeInferContext) -> Self {
        Self { api, context }
    }

    /// The shape of an input. None if it is unknown or has unnamed dimensions, which ONNX Runtime cannot take back.
    pub fn input(&self, input: usize) -> Option<Vec<Dimension>> {
        let api = &self.api;
        let info = self.info(input)?;
        // SAFETY: the context owns `info` and its names during this call. Both lists have room for `rank` entries;
        // names end with a zero, and those that ONNX Runtime does not write stay null.
        unsafe {
            let mut rank = 0;
            api.check((api.GetDimensionsCount)(info, &mut rank)).ok()?;
            let mut sizes = vec![0_i64; rank];
            api.check((api.GetDimensions)(info, sizes.as_mut_ptr(), rank)).ok()?;
            let mut names: Vec<*const c_char> = vec![ptr::null(); rank];
            api.check((api.GetSymbolicDimensions)(info, names.as_mut_ptr(), rank)).ok()?;
            let dimension = |(size, name): (i64, *const c_char)| match size {
                0.. => Some(Dimension::Size(size)),
                _ if name.is_null() || CStr::from_ptr(name).is_empty() => None,
                _ => Some(Dimension::Named(CStr::from_ptr(name).to_owned())),
            };
            let dimensions: Option<Vec<_>> = sizes.into_iter().zip(names).map(dimension).collect();
            dimensions.filter(|dimensions| !dimensions.is_empty())
        }
    }

    /// The known type and shape of an input; the context owns it.
    fn info(&self, input: usize) -> Option<*mut OrtTensorTypeAndShapeInfo> {
        let api = &self.api;
        let mut info: *mut OrtTensorTypeAndShapeInfo = ptr::null_mut();
        // SAFETY: ONNX Runtime keeps `context` valid during the inference call, which `self` is made for, and refuses
        // an input that the node does not have.
        let status = unsafe { (api.ShapeInferContext_GetInputTypeShape)(self.context, input, &mut info) };
        api.check(status).ok()?;
        Some(info)
    }

    /// Gives output `output` this shape, and the element type of the first input.
    pub fn set(&self, output: usize, shape: &[Dimension]) -> Result<()> {
        self.set_as(output, shape, 0)
    }

    /// Gives output `output` this shape, and the element type of input `input`: ONNX Runtime asks the operator that was
    /// registered first, whatever the node's types are.
    pub fn set_as(&self, output: usize, shape: &[Dimension], input: usize) -> Result<()> {
        let api = &self.api;
        let Some(input) = self.info(input) else { return Ok(()) };
        let mut element = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        // SAFETY: `input` is not null and belongs to the context, which is valid as in `info`.
        api.check(unsafe { (api.GetTensorElementType)(input, &mut element) })?;
        let sizes: Vec<i64> =
            shape.iter().map(|d| if let Dimension::Size(size) = d { *size } else { -1 }).collect();
        let mut names: Vec<*const c_char> = shape
            .iter()
            .map(|d| if let Dimension::Named(name) = d { name.as_ptr() } else { c"".as_ptr() })
            .collect();
        let mut info: *mut OrtTensorTypeAndShapeInfo = ptr::null_mut();
        // SAFETY: the lists and the names in them outlive the calls, and ONNX Runtime copies them; `info` is released
        // once, at the end. The context is valid as in `info`.
        unsafe {
            api.check((api.CreateTensorTypeAndShapeInfo)(&mut info))?;
            let result = (|| {
                api.check((api.SetTensorElementType)(info, element))?;
                api.check((api.SetDimensions)(info, sizes.as_ptr(), sizes.len()))?;
                api.check((api.SetSymbolicDimensions)(info, names.as_mut_ptr(), names.len()))?;
                api.check((api.ShapeInferContext_SetOutputTypeShape)(self.context, output, info))
            })();
            (api.ReleaseTensorTypeAndShapeInfo)(info);
            result
        }
    }

    /// Gives output `output` the shape and element type of input `input`.
    pub fn same(&self, output: usize, input: usize) -> Result<()> {
        self.input(input).map_or(Ok(()), |shape| self.set_as(output, &shape, input))
    }

    pub fn int(&self, name: &CStr) -> Option<i64> {
        let mut value = 0_i64;
        self.read(name, OrtOpAttrType::ORT_OP_ATTR_INT, (&raw mut value).cast(), size_of::<i64>())?;
        Some(value)
    }

    pub fn text(&self, name: &CStr) -> Option<String> {
        let mut bytes = [0_u8; 32];
        self.read(name, OrtOpAttrType::ORT_OP_ATTR_STRING, bytes.as_mut_ptr().cast(), bytes.len())?;
        Some(CStr::from_bytes_until_nul(&bytes).ok()?.to_string_lossy().into_owned())
    }

    fn read(&self, name: &CStr, kind: OrtOpAttrType, to: *mut std::ffi::c_void, size: usize) -> Option<()> {
        let (mut attribute, mut written) = (ptr::null(), 0);
        let api = &self.api;
        // SAFETY: the context is valid as in `info` and owns `attribute`. `int` and `text` pass memory of `size` bytes
        // that suits `kind`; ONNX Runtime writes no more than that.
        unsafe {
            api.check((api.ShapeInferContext_GetAttribute)(self.context, name.as_ptr(), &mut attribute))
                .ok()?;
            api.check((api.ReadOpAttr)(attribute, kind, to, size, &mut written)).ok()
        }
    }
}
