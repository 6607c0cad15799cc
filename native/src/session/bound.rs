use std::ffi::c_void;

use crate::ort::{Api, Binding, Element, MemoryInfo, Result, Value};

/// Numbers that the graph reads at every step. Their memory does not move while it is bound.
pub struct Feed<T> {
    name: &'static str,
    element: Element,
    numbers: Vec<T>,
    dims: Vec<i64>,
    /// ONNX Runtime copies them to the provider's memory when they are bound, not when the graph runs.
    is_sent: bool,
}

impl<T: Copy> Feed<T> {
    pub fn new(name: &'static str, element: Element, is_sent: bool) -> Self {
        assert_eq!(element.size(), size_of::<T>());
        Self { name, element, numbers: Vec::new(), dims: Vec::new(), is_sent }
    }

    /// Sets new numbers. Numbers that are read in place are bound again only if the shape changes.
    pub fn set(&mut self, api: Api, binding: &mut Binding, dims: &[i64], numbers: &[T]) -> Result<()> {
        if !self.is_sent && self.dims == dims && self.numbers.len() == numbers.len() {
            self.numbers.copy_from_slice(numbers);
            return Ok(());
        }
        self.numbers = numbers.to_vec();
        self.dims.clear();
        // SAFETY: `numbers` neither moves nor shrinks until it is bound again.
        let value =
            unsafe { Value::view(api, self.element, dims, self.numbers.as_mut_ptr().cast(), numbers.len())? };
        binding.input(self.name, &value)?;
        self.dims = dims.to_vec();
        Ok(())
    }
}

/// Where ONNX Runtime writes logits.
#[derive(Clone, Copy)]
pub struct Target {
    pub data: *mut f32,
    /// The memory that holds them.
    pub info: MemoryInfo,
    /// Numbers in a row.
    pub vocabulary: usize,
}

/// The output that ONNX Runtime writes to the model's buffer.
pub struct Logits {
    bound: Option<(*mut f32, usize)>,
}

// SAFETY: the address is only compared here; callers of `set` promise the memory behind it.
unsafe impl Send for Logits {}

impl Logits {
    pub fn new() -> Self {
        Self { bound: None }
    }

    /// # Safety
    /// `to` has room for `rows` rows while the binding runs.
    pub unsafe fn set(&mut self, api: Api, binding: &mut Binding, to: Target, rows: usize) -> Result<()> {
        if self.bound == Some((to.data, rows)) {
            return Ok(());
        }
        let dims = [rows as i64, to.vocabulary as i64];
        let numbers = (to.data.cast::<c_void>(), rows * to.vocabulary);
        // SAFETY: the caller promises room for these rows while the binding runs.
        let value = unsafe { Value::view_in(api, to.info, Element::F32, &dims, numbers)? };
        binding.output("logits", &value)?;
        self.bound = Some((to.data, rows));
        Ok(())
    }
}
