use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use napi::Env;
use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi_derive::napi;

use super::blocking::{Blocking, blocking};
use super::live;
use crate::kernels::instruction_set::DotSet;
use crate::ops::Operators;
use crate::ort::{
    Binding, Element, Error, Library, MemoryInfo, Result, RunOptions, Session, SessionOptions, Value,
};

#[napi(object)]
pub struct NativeGraphOptions {
    pub path: String,
    pub threads: u32,
    pub kernels: bool,
    pub config: Option<HashMap<String, String>>,
    /// Prefix of the file that receives a trace of all runs.
    pub profile: Option<String>,
}

/// Has kernels that are made from now on use the instruction set with this name, or the fastest again. For tests and
/// benchmarks.
#[napi]
pub fn force_instructions(name: Option<String>) -> napi::Result<()> {
    DotSet::force(name.as_deref()).map_err(napi::Error::from_reason)
}

/// All that this CPU has, the fastest last.
#[napi]
pub fn instructions() -> Vec<&'static str> {
    DotSet::available().map(DotSet::name).collect()
}

/// A tensor in host memory; `element` is a NumPy-like name: float32, float16, bfloat16, int32, int64.
#[napi(object)]
pub struct NativeTensor {
    pub element: String,
    pub dims: Vec<i64>,
    pub data: Uint8Array,
}

/// An input with its own copy of the bytes.
struct Input {
    name: String,
    value: Value,
    _bytes: Vec<u64>,
}

struct Loaded {
    binding: Binding,
    session: Session,
    inputs: Vec<Input>,
    outputs: Vec<String>,
}

// SAFETY: all fields are Send on their own, and a move does not move the bytes behind the inputs.
unsafe impl Send for Loaded {}

/// Runs any graph unchanged, for kernel tests and benchmarks.
#[napi]
pub struct NativeGraph {
    library: Library,
    run: Arc<RunOptions>,
    loaded: Arc<Mutex<Option<Loaded>>>,
}

#[napi]
impl NativeGraph {
    #[napi(constructor)]
    pub fn new(env: Env, library: String) -> napi::Result<Self> {
        let library = live::library(&env, &library)?;
        Ok(Self { library, run: Arc::new(RunOptions::new(library.api)?), loaded: Arc::default() })
    }

    #[napi]
    pub fn load(&self, options: NativeGraphOptions) -> AsyncTask<Blocking<()>> {
        let (library, loaded) = (self.library, self.loaded.clone());
        blocking(move || {
            let settings = SessionOptions::new(library.api, options.threads)?;
            for (key, value) in options.config.unwrap_or_default() {
                settings.config(&key, &value)?;
            }
            if options.kernels {
                settings.kernels(Operators::OfCpu)?;
            }
            if let Some(prefix) = options.profile {
                settings.profile(&prefix)?;
            }
            let session = Session::open(library, options.path.as_ref(), &settings)?;
            let binding = Binding::new(&session)?;
            *loaded.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Loaded { binding, session, inputs: Vec::new(), outputs: Vec::new() });
            Ok(())
        })
    }

    /// Binds inputs. `aliases` maps an output to the input that it overwrites; `outputs` names the other wanted
    /// outputs.
    #[napi]
    pub fn bind(
        &self,
        inputs: HashMap<String, NativeTensor>,
        outputs: Vec<String>,
        aliases: Option<HashMap<String, String>>,
    ) -> napi::Result<()> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.as_mut().ok_or_else(|| Error("the graph is not open".into()))?;
        let api = loaded.session.api;
        let mut names = outputs.clone();
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error(format!("output {} is named twice", pair[0])).into());
        }
        // If this fails half-way, no output has a name.
        loaded.outputs.clear();
        loaded.binding = Binding::new(&loaded.session)?;
        loaded.inputs =
            inputs.into_iter().map(|(name, tensor)| input(api, name, &tensor)).collect::<Result<_>>()?;
        for input in &loaded.inputs {
            loaded.binding.input(&input.name, &input.value)?;
        }
        for output in &outputs {
            loaded.binding.output_in(output, MemoryInfo::host(loaded.session.api)?)?;
        }
        for (output, name) in aliases.unwrap_or_default() {
            let input = loaded.inputs.iter().find(|input| input.name == name);
            let input =
                input.ok_or_else(|| Error(format!("{output} is to alias {name}, which is not bound")))?;
            loaded.binding.output(&output, &input.value)?;
        }
        loaded.outputs = outputs;
        Ok(())
    }

    /// Runs the graph and returns the `outputs` that were bound.
    #[napi]
    pub fn run(&self) -> AsyncTask<Blocking<HashMap<String, NativeTensor>>> {
        let (run, loaded) = (self.run.clone(), self.loaded.clone());
        blocking(move || {
            let loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
            let loaded = loaded.as_ref().ok_or_else(|| Error("the graph is not open".into()))?;
            loaded.session.run(&run, &loaded.binding)?;
            let values = loaded.binding.outputs()?;
            let named = loaded.outputs.iter().zip(&values);
            named.map(|(name, value)| Ok((name.clone(), output(name, value)?))).collect()
        })
    }

    /// Nanoseconds of each of `runs` runs, without JavaScript.
    #[napi]
    pub fn time(&self, runs: u32) -> AsyncTask<Blocking<Vec<f64>>> {
        let (run, loaded) = (self.run.clone(), self.loaded.clone());
        blocking(move || {
            let loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
            let loaded = loaded.as_ref().ok_or_else(|| Error("the graph is not open".into()))?;
            (0..runs)
                .map(|_| {
                    let start = Instant::now();
                    loaded.session.run(&run, &loaded.binding)?;
                    Ok(start.elapsed().as_nanos() as f64)
                })
                .collect()
        })
    }

    /// Ends profiling and returns the name of the written file.
    #[napi]
    pub fn end_profiling(&self) -> napi::Result<String> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.as_ref().ok_or_else(|| Error("the graph is not open".into()))?;
        Ok(loaded.session.end_profiling()?)
    }

    #[napi]
    pub fn close(&self) -> AsyncTask<Blocking<()>> {
        let loaded = self.loaded.clone();
        blocking(move || {
            drop(loaded.lock().unwrap_or_else(PoisonError::into_inner).take());
            Ok(())
        })
    }
}

const NAMES: [(&str, Element); 5] = [
    ("float32", Element::F32),
    ("float16", Element::F16),
    ("bfloat16", Element::Bf16),
    ("int32", Element::I32),
    ("int64", Element::I64),
];

fn input(api: crate::ort::Api, name: String, tensor: &NativeTensor) -> Result<Input> {
    let element = NAMES.iter().find(|(known, _)| *known == tensor.element).map(|(_, element)| *element);
    let element =
        element.ok_or_else(|| Error(format!("input {name}: no element type {}", tensor.element)))?;
    let mut bytes = vec![0_u64; tensor.data.len().div_ceil(8).max(1)];
    // SAFETY: both sides hold the bytes and do not overlap; the copy does not move while it is bound.
    let value = unsafe {
        tensor.data.as_ptr().copy_to_nonoverlapping(bytes.as_mut_ptr().cast(), tensor.data.len());
        Value::view(
            api,
            element,
            &tensor.dims,
            bytes.as_mut_ptr().cast(),
            tensor.data.len() / element.size(),
        )?
    };
    Ok(Input { name, value, _bytes: bytes })
}

fn output(name: &str, value: &Value) -> Result<NativeTensor> {
    let (element, dims, data) = value.tensor()?;
    let known = NAMES.iter().find(|(_, known)| *known == element);
    let (label, _) = known.ok_or_else(|| Error(format!("output {name} is of an unknown type")))?;
    let size = dims.iter().product::<i64>() as usize * element.size();
    // SAFETY: a tensor of this type and shape holds `size` bytes.
    let bytes = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) } };
    Ok(NativeTensor { element: (*label).into(), dims, data: bytes.to_vec().into() })
}
