//! A table of embeddings that is the head's matrix too. ONNX Runtime maps both from the same bytes of the model's file. The
//! head packs them when its kernel is made, and look-ups read what it packed: read from the file, each row looked up would
//! be in memory a second time.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock, Weak};

use super::compute::Tensor;
use super::mapped_file::{FilePlace, places_of};
use super::quantized_mat_mul::Matrix;

/// Empty until a head has packed the table.
pub type Tied = Arc<OnceLock<Arc<Matrix>>>;

/// A look-up whose session is being loaded.
struct LookUp {
    /// Where codes, scales and zero points begin.
    places: [FilePlace; 3],
    elements: usize,
    matrix: Weak<OnceLock<Arc<Matrix>>>,
}

thread_local! {
    /// Those of the session that this thread loads. ONNX Runtime makes the kernels in the order of the graph's nodes, so a
    /// look-up of tokens comes before the head.
    static LOOK_UPS: RefCell<Vec<LookUp>> = const { RefCell::new(Vec::new()) };
}

/// Asks for what a head of the same session packs from the same codes, scales and zero points.
pub fn wait_for(parts: [Tensor; 3]) -> Tied {
    let tied = Tied::default();
    if let [Some(codes), Some(scales), Some(zeros)] =
        places_of(parts.map(|part| part.data::<u8>().cast_const()))
    {
        let places = [codes, scales, zeros];
        let entry = LookUp { places, elements: elements(parts[0]), matrix: Arc::downgrade(&tied) };
        LOOK_UPS.with_borrow_mut(|all| all.push(entry));
    }
    tied
}

/// Gives a packed matrix to the look-ups of its codes, scales and zero points.
pub fn share(parts: [Tensor; 3], matrix: &Arc<Matrix>) {
    LOOK_UPS.with_borrow(|all| {
        // Few matrices are as large as a table, so the places of few are read.
        let mut fitting = all.iter().filter(|entry| entry.elements == elements(parts[0])).peekable();
        if fitting.peek().is_none() {
            return;
        }
        let places = places_of(parts.map(|part| part.data::<u8>().cast_const()));
        for LookUp { matrix: tied, .. } in
            fitting.filter(|entry| entry.places.each_ref().map(Some) == places.each_ref().map(Option::as_ref))
        {
            if let Some(tied) = tied.upgrade() {
                // A second head has the same numbers.
                let _ = tied.set(matrix.clone());
            }
        }
    });
}

/// Call it when a session is loaded, or could not be: nobody waits longer.
pub fn forget() {
    LOOK_UPS.take();
}

fn elements(tensor: Tensor) -> usize {
    tensor.dims.iter().product::<i64>() as usize
}
