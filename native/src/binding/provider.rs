use std::collections::HashMap;

use napi::Env;
use napi::bindgen_prelude::AsyncTask;
use napi_derive::napi;

use super::blocking::{Blocking, blocking};
use super::live;
use crate::ort::Provider;
use crate::session::{self, probe};

/// Rejects with the reason when the execution provider cannot compute here.
#[napi]
pub fn probe_provider(
    env: Env,
    library: String,
    name: String,
    options: HashMap<String, String>,
) -> napi::Result<AsyncTask<Blocking<()>>> {
    let library = live::library(&env, &library)?;
    let provider = Provider { name, options: options.into_iter().collect() };
    Ok(blocking(move || probe(library, &provider)))
}

/// Free bytes of the first CUDA device.
#[napi]
pub fn free_cuda_memory() -> napi::Result<f64> {
    Ok(session::free_cuda_memory()? as f64)
}

/// Compute capability of the first CUDA device: 80 for 8.0.
#[napi]
pub fn cuda_compute_capability() -> napi::Result<u32> {
    Ok(session::cuda_compute_capability()? as u32)
}
