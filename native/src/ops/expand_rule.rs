//! ONNX Runtime's optimiser `ExpandElimination` takes nodes named `Expand` in any domain and reads their second input.
//! Ours has none, so an assertion ends the process (seen with 1.30.0). Sessions with our operators therefore disable
//! that optimiser.

use std::ffi::{CStr, CString, c_int};
use std::ptr;

use ort_sys::OrtSessionOptions;

use crate::ort::{Api, Result};

const KEY: &CStr = c"optimization.disable_specified_optimizers";
const RULE: &str = "ExpandElimination";

/// Adds the rule to the optimisers that are already disabled.
///
/// # Safety
/// `options` belongs to the ONNX Runtime behind `api`.
pub unsafe fn disable(api: Api, options: *mut OrtSessionOptions) -> Result<()> {
    let mut is_set: c_int = 0;
    // SAFETY: the caller's options are alive, keys and values end with a zero, and ONNX Runtime copies them.
    // The second read writes at most `size` bytes, which is the length of its buffer.
    unsafe {
        api.check((api.HasSessionConfigEntry)(options, KEY.as_ptr(), &mut is_set))?;
        let mut rules = RULE.to_owned();
        if is_set != 0 {
            let mut size = 0;
            api.check((api.GetSessionConfigEntry)(options, KEY.as_ptr(), ptr::null_mut(), &mut size))?;
            let mut bytes = vec![0_u8; size];
            api.check((api.GetSessionConfigEntry)(
                options,
                KEY.as_ptr(),
                bytes.as_mut_ptr().cast(),
                &mut size,
            ))?;
            let others = CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy();
            if others.split(';').any(|other| other == RULE) {
                return Ok(());
            }
            rules = format!("{others};{RULE}");
        }
        let rules = CString::new(rules).expect("read from text that ended at its zero");
        api.check((api.AddSessionConfigEntry)(options, KEY.as_ptr(), rules.as_ptr()))
    }
}
