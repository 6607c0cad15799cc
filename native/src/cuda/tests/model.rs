//! Writes and runs models of one node, to test operators through ONNX Runtime.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use half::{bf16, f16};
use ort_sys::{ONNXTensorElementDataType, OrtCustomOpDomain};

use crate::cuda::emulation::Emulation;
use crate::kernels::Element as Storage;
use crate::ops::domain::{add_domain, domain_of};
use crate::ops::{Operators, Storage as OnnxStorage, operators};
use crate::ort::{
    Api, Binding, Element, Library, Provider, Result, RunOptions, Session, SessionOptions, Value,
};

#[derive(Clone, Debug)]
pub enum Attribute {
    Int(i64),
    Text(&'static str),
    Float(f32),
}

#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: &'static str,
    pub dims: Vec<i64>,
    pub values: Vec<f64>,
}

/// One `ai.altup` node, with the values of its inputs and the names and dims of its outputs.
#[derive(Clone, Debug)]
pub struct Case {
    pub op: &'static str,
    pub attributes: Vec<(&'static str, Attribute)>,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<(&'static str, Vec<i64>)>,
    /// Number of first outputs that overwrite the input at the same position.
    pub in_place: usize,
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u64, value: i64) {
    varint(out, field << 3);
    varint(out, value as u64);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A message of onnx.proto. Callers use its field numbers.
fn message(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    fill(&mut out);
    out
}

/// Only the first dimension of X has a size, as in exported graphs.
fn value_info(name: &str, dims: &[i64], element: ONNXTensorElementDataType) -> Vec<u8> {
    let dimension = |(i, size): (usize, &i64)| {
        message(|out| {
            if i == 0 && dims.len() > 2 {
                number(out, 1, *size)
            } else {
                bytes(out, 2, format!("{name}_{i}").as_bytes())
            }
        })
    };
    let shape = message(|out| dims.iter().enumerate().for_each(|dim| bytes(out, 1, &dimension(dim))));
    let tensor = message(|out| {
        number(out, 1, element as i64);
        bytes(out, 2, &shape);
    });
    message(|out| {
        bytes(out, 1, name.as_bytes());
        bytes(out, 2, &message(|out| bytes(out, 1, &tensor)));
    })
}

fn attribute(name: &str, value: &Attribute) -> Vec<u8> {
    message(|out| {
        bytes(out, 1, name.as_bytes());
        let kind = match value {
            Attribute::Float(value) => {
                varint(out, 2 << 3 | 5);
                out.extend_from_slice(&value.to_le_bytes());
                1
            }
            Attribute::Int(value) => {
                number(out, 3, *value);
                2
            }
            Attribute::Text(value) => {
                bytes(out, 4, value.as_bytes());
                3
            }
        };
        number(out, 20, kind);
    })
}

fn model(case: &Case, element: ONNXTensorElementDataType) -> Vec<u8> {
    let node = message(|out| {
        case.inputs.iter().for_each(|input| bytes(out, 1, input.name.as_bytes()));
        case.outputs.iter().for_each(|(name, _)| bytes(out, 2, name.as_bytes()));
        bytes(out, 3, b"node");
        bytes(out, 4, case.op.as_bytes());
        case.attributes.iter().for_each(|(name, value)| bytes(out, 5, &attribute(name, value)));
        bytes(out, 7, b"ai.altup");
    });
    let graph = message(|out| {
        bytes(out, 1, &node);
        bytes(out, 2, b"one_node");
        case.inputs.iter().for_each(|input| bytes(out, 11, &value_info(input.name, &input.dims, element)));
        case.outputs.iter().for_each(|(name, dims)| bytes(out, 12, &value_info(name, dims, element)));
    });
    message(|out| {
        number(out, 1, 10);
        bytes(out, 7, &graph);
        for (domain, version) in [("", 21), ("ai.altup", 1)] {
            bytes(
                out,
                8,
                &message(|out| {
                    bytes(out, 1, domain.as_bytes());
                    number(out, 2, version);
                }),
            );
        }
    })
}

/// ONNX Runtime from onnxruntime-node: run `npm ci` before the tests.
pub fn library() -> Library {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let machine = if cfg!(target_arch = "x86_64") { "x64" } else { "arm64" };
    // A bundle has these tests in another place.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let bin = Path::new(&folder).join("../node_modules/onnxruntime-node/bin");
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let library = entries(&bin)
        .flat_map(|version| entries(&version.path().join(system).join(machine)))
        .find(|file| file.file_name().to_string_lossy().starts_with("libonnxruntime."))
        .expect("onnxruntime-node, which `npm ci` installs");
    Library::load(&library.path()).expect("ONNX Runtime loads")
}

fn written(model: &[u8]) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("altup-node-{}-{}.onnx", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, model).expect("a temporary file");
    path
}

struct Domain(*mut OrtCustomOpDomain);

// SAFETY: ONNX Runtime only reads a domain once it is made, and nothing releases this one.
unsafe impl Send for Domain {}
// SAFETY: as for Send.
unsafe impl Sync for Domain {}

/// Every operator on the emulated device, instead of the CPU kernels.
fn emulated(api: Api) -> *mut OrtCustomOpDomain {
    static DOMAIN: OnceLock<Domain> = OnceLock::new();
    let domain = DOMAIN.get_or_init(|| {
        let all = [
            operators::<f32, Emulation>(api),
            operators::<f16, Emulation>(api),
            operators::<bf16, Emulation>(api),
        ];
        let ops = all.into_iter().flatten().filter_map(|operator| operator.device).collect();
        Domain(domain_of(api, ops).expect("a domain"))
    });
    domain.0
}

/// Runs `case` with elements of type `T` and returns its outputs.
pub fn run<T: OnnxStorage>(case: &Case) -> Result<Vec<Vec<f64>>> {
    let library = library();
    let api = library.api;
    let options = SessionOptions::new(api, 1)?;
    let is_on_gpu = std::env::var_os("ALTUP_TEST_CUDA").is_some();
    if is_on_gpu {
        options.kernels(Operators::OfEveryProvider)?;
        options.provider(&Provider { name: "CUDA".into(), options: Vec::new() })?;
    } else {
        // SAFETY: options and domain belong to this library.
        unsafe { add_domain(api, options.as_ptr().cast_mut(), emulated(api))? };
    }
    // Values are bound in host memory, so the GPU cannot work in place.
    let in_place = if is_on_gpu { 0 } else { case.in_place };
    let path = written(&model(case, T::TYPE));
    let session = Session::open(library, &path, &options);
    let _ = std::fs::remove_file(&path);
    let session = session?;

    let element = Element::of(T::TYPE).expect("an element of ONNX Runtime");
    let mut memory: Vec<Vec<T>> = case.inputs.iter().map(|input| stored(&input.values)).collect();
    let mut results: Vec<Vec<T>> = case
        .outputs
        .iter()
        .map(|(_, dims)| vec![T::default(); dims.iter().product::<i64>() as usize])
        .collect();
    // SAFETY: the memory does not move until the run is over.
    let view = |dims: &[i64], data: &mut Vec<T>| unsafe {
        Value::view(api, element, dims, data.as_mut_ptr().cast(), data.len())
    };
    let mut binding = Binding::new(&session)?;
    let mut values = Vec::new();
    for (input, data) in case.inputs.iter().zip(&mut memory) {
        let value = view(&input.dims, data)?;
        binding.input(input.name, &value)?;
        values.push(value);
    }
    for (i, ((name, dims), data)) in case.outputs.iter().zip(&mut results).enumerate() {
        let value = if i < in_place { view(dims, &mut memory[i])? } else { view(dims, data)? };
        binding.output(name, &value)?;
        values.push(value);
    }
    session.run(&RunOptions::new(api)?, &binding)?;
    let outputs = results.iter().enumerate().map(|(i, own)| if i < in_place { &memory[i] } else { own });
    Ok(outputs.map(|data| data.iter().map(|value| f64::from(value.to_f32())).collect()).collect())
}

fn stored<T: Storage>(values: &[f64]) -> Vec<T> {
    values.iter().map(|value| T::from_f32(*value as f32)).collect()
}
