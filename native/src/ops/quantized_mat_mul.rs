use std::ffi::CStr;
use std::marker::PhantomData;
use std::sync::Arc;

use ort_sys::ONNXTensorElementDataType::{
    self, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
};

use super::compute::{Compute, Tensor};
use super::custom_op::Kernel;
use super::kernel_info::KernelInfo;
use super::mapped_file::forget_file_pages;
use super::shapes::{Dimension, Shapes};
use super::storage::Storage;
use super::tied_matrix;
use crate::kernels::instruction_set::DotSet;
use crate::kernels::quantized_product::{BLOCK, Codes, Packed, multiply};
use crate::ort::Result;

/// x [..., K], codes uint8 [N, K / 32, 4 · bits], scales float32 [N, K / 32], zero_points uint8 [N, ⌈K / 32 · bits / 8⌉]
/// → x · Wᵀ [..., N] for W = scale · (code − zero point), with x rounded to 8 bits by block. Only for the CPU: everywhere
/// else, ONNX Runtime's `MatMulNBits` in the function body stays on the device.
///
/// A constant matrix is packed when the kernel is made. Then nobody reads the model's file there any more, so its pages
/// go back to the system.
pub struct QuantizedMatMul<T> {
    shape: Shape,
    matrix: Option<Arc<Matrix>>,
    _storage: PhantomData<T>,
}

#[derive(Clone, Copy)]
struct Shape {
    columns: usize,
    width: usize,
    bits: usize,
}

/// In the order in which the kernel reads it.
pub enum Matrix {
    Four(Packed<4>),
    Eight(Packed<8>),
}

const CODES: usize = 1;
const SCALES: usize = 2;
const ZEROS: usize = 3;

impl<T: Storage> Kernel for QuantizedMatMul<T> {
    const NAME: &'static CStr = c"QuantizedMatMul";
    const TYPE: ONNXTensorElementDataType = T::TYPE;
    const INPUTS: usize = 4;
    const OUTPUTS: usize = 1;
    const IN_PLACE: usize = 0;

    fn input_type(input: usize) -> ONNXTensorElementDataType {
        match input {
            CODES | ZEROS => ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
            SCALES => ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            _ => T::TYPE,
        }
    }

    /// Without vectors, `MatMulNBits` is faster. On arm64 the two were never compared.
    fn is_fast() -> bool {
        DotSet::is_forced() || cfg!(target_arch = "x86_64") && DotSet::fastest() != DotSet::Portable
    }

    fn infer(shapes: &Shapes) -> Result<()> {
        let (Some(mut shape), Some(columns)) = (shapes.input(0), shapes.int(c"N")) else { return Ok(()) };
        if let Some(last) = shape.last_mut() {
            *last = Dimension::Size(columns);
        }
        shapes.set(0, &shape)
    }

    fn create(info: &KernelInfo) -> Result<Self> {
        let [columns, width, bits] = [info.index(c"N")?, info.index(c"K")?, info.index(c"bits")?];
        if columns == 0 || width == 0 || !width.is_multiple_of(BLOCK) {
            return Err(info.error(format_args!(
                "attributes N and K are {columns} and {width}, not at least 1 and a multiple of {BLOCK}"
            )));
        }
        if bits != 4 && bits != 8 {
            return Err(info.error(format_args!("attribute bits is {bits}, not 4 or 8")));
        }
        let shape = Shape { columns, width, bits };
        let parts = [info.constant(CODES)?, info.constant(SCALES)?, info.constant(ZEROS)?];
        let matrix = match parts {
            [Some(codes), Some(scales), Some(zeros)] => {
                let parts = [codes, scales, zeros];
                let matrix = shape.pack(parts).map_err(|text| info.error(format_args!("{text}")))?;
                let matrix = Arc::new(matrix);
                tied_matrix::share(parts, &matrix);
                for (part, bytes) in parts.iter().zip(shape.part_bytes()) {
                    // SAFETY: a node's constants live as long as its session, which reports when it is loaded.
                    unsafe { forget_file_pages(part.data(), bytes) };
                }
                Some(matrix)
            }
            _ => None,
        };
        Ok(Self { shape, matrix, _storage: PhantomData })
    }

    fn compute(&self, context: &Compute) -> Result<()> {
        let Shape { columns, width, .. } = self.shape;
        let x = context.input(0)?;
        let Some((_, tokens)) = x.dims.split_last().filter(|(last, _)| **last == width as i64) else {
            return Err(context.error(format_args!("x {:?} is not [..., {width}]", x.dims)));
        };
        let rows = tokens.iter().product::<i64>() as usize;
        let dims: Vec<i64> = tokens.iter().copied().chain([columns as i64]).collect();
        let out = context.output::<T>(0, &dims)?;
        let rows = (x.data::<T>().cast_const(), rows);
        if let Some(matrix) = &self.matrix {
            return matrix.multiply(context, rows, out);
        }
        let parts = [context.input(CODES)?, context.input(SCALES)?, context.input(ZEROS)?];
        let matrix = self.shape.pack(parts).map_err(|text| context.error(format_args!("{text}")))?;
        matrix.multiply(context, rows, out)
    }
}

impl Shape {
    const fn blocks(&self) -> usize {
        self.width / BLOCK
    }

    /// Dims of codes, scales and zero points.
    fn part_dims(&self) -> [Vec<usize>; 3] {
        let Self { columns, bits, .. } = *self;
        let blocks = self.blocks();
        [
            vec![columns, blocks, BLOCK * bits / 8],
            vec![columns, blocks],
            vec![columns, (blocks * bits).div_ceil(8)],
        ]
    }

    fn part_bytes(&self) -> [usize; 3] {
        let [codes, scales, zeros] = self.part_dims().map(|dims| dims.iter().product());
        [codes, scales * size_of::<f32>(), zeros]
    }

    /// Codes, scales and zero points in the kernel's order. Refuses other dims than the attributes ask for.
    fn pack(&self, parts: [Tensor; 3]) -> std::result::Result<Matrix, String> {
        let Self { columns, width, bits } = *self;
        for ((name, part), wanted) in
            ["codes", "scales", "zero_points"].iter().zip(&parts).zip(self.part_dims())
        {
            if !part.dims.iter().copied().eq(wanted.iter().map(|dim| *dim as i64)) {
                let dims = part.dims;
                return Err(format!(
                    "{name} {dims:?} does not fit N {columns}, K {width}: {wanted:?} wanted"
                ));
            }
        }
        let [codes, scales, zeros] = parts;
        let (codes, scales, zeros) = (codes.data(), scales.data(), zeros.data());
        let (set, blocks) = (DotSet::fastest(), self.blocks());
        // SAFETY: the tensors have the dims just checked, and N and K are above zero.
        let matrix = unsafe {
            if bits == 4 {
                Packed::new(set, &Codes { codes, scales, zeros, columns, blocks }).map(Matrix::Four)
            } else {
                Packed::new(set, &Codes { codes, scales, zeros, columns, blocks }).map(Matrix::Eight)
            }
        };
        matrix.ok_or_else(|| format!("no memory for a matrix of {columns} x {width} numbers"))
    }
}

impl Matrix {
    /// Writes the numbers of a row of codes to `out`, which is as long.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::Four(matrix) => matrix.read_column(row, out),
            Self::Eight(matrix) => matrix.read_column(row, out),
        }
    }

    fn multiply<T: Storage>(&self, context: &Compute, rows: (*const T, usize), out: *mut T) -> Result<()> {
        let parallel = |count: usize, task: &(dyn Fn(usize) + Sync)| context.parallel(count, &|i| task(i));
        // SAFETY: `compute` found that `rows` are as wide as the matrix, and `out` is memory of its own for them.
        unsafe {
            match self {
                Self::Four(matrix) => multiply(matrix, rows, out, &parallel),
                Self::Eight(matrix) => multiply(matrix, rows, out, &parallel),
            }
        }
    }
}
