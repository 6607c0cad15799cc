use std::ptr;
use std::sync::Mutex;

use half::{bf16, f16};
use ort_sys::{OrtApi, OrtApiBase, OrtCustomOpDomain, OrtSessionOptions, OrtStatusPtr};

use super::custom_op::CustomOp;
use super::{Operator, cached_attention, expand_rule, operators, operators_of_f32};
use crate::cuda::Cuda;
use crate::ort::{Api, Result};

/// The operators that a session gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operators {
    /// All operators, for a session on the CPU.
    OfCpu,
    /// The same, with attention over caches whose tensors hold codes in int8.
    OfCpuWithInt8Caches,
    /// Only operators with kernels for every supported provider.
    OfEveryProvider,
}

/// Domains made so far, by their ONNX Runtime (one, unless a process loads two) and operators. Sessions refer to a
/// domain without owning it, so domains are never released.
static DOMAINS: Mutex<Vec<Registered>> = Mutex::new(Vec::new());

struct Registered {
    api: *const OrtApi,
    operators: Operators,
    domain: *mut OrtCustomOpDomain,
}

// SAFETY: a mutex guards DOMAINS, and nothing releases or changes a domain after it is pushed there. A host's own
// ONNX Runtime must stay loaded too; nothing checks that.
unsafe impl Send for Registered {}

fn domain(api: Api, wanted: Operators) -> Result<*mut OrtCustomOpDomain> {
    let mut domains = DOMAINS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let key = ptr::from_ref::<OrtApi>(&*api);
    if let Some(found) = domains.iter().find(|own| own.api == key && own.operators == wanted) {
        return Ok(found.domain);
    }
    let all =
        [operators::<f32, Cuda>(api), operators::<f16, Cuda>(api), operators::<bf16, Cuda>(api)].into_iter();
    let is_everywhere = wanted == Operators::OfEveryProvider;
    let fits = |operator: &Operator| operator.is_fast && (!is_everywhere || operator.device.is_some());
    // ONNX Runtime makes kernels for a provider only in sessions that have it.
    let kernels = |Operator { cpu, device, .. }: Operator| std::iter::once(cpu).chain(device);
    let in_bytes = wanted == Operators::OfCpuWithInt8Caches;
    let all = all.flatten().chain(cached_attention(api, in_bytes)).chain(operators_of_f32(api));
    let ops = all.filter(fits).flat_map(kernels).collect();
    let domain = domain_of(api, ops)?;
    domains.push(Registered { api: key, operators: wanted, domain });
    Ok(domain)
}

/// `ai.altup` with these kernels, kept for the life of the process.
pub(crate) fn domain_of(api: Api, ops: Vec<CustomOp>) -> Result<*mut OrtCustomOpDomain> {
    let mut domain = ptr::null_mut();
    // SAFETY: the name ends with a zero, and ONNX Runtime copies it. The leaked operators outlive the domain.
    unsafe {
        api.check((api.CreateCustomOpDomain)(c"ai.altup".as_ptr(), &mut domain))?;
        for op in Vec::leak(ops) {
            api.check((api.CustomOpDomain_Add)(domain, op.as_ptr()))?;
        }
    }
    Ok(domain)
}

/// Adds the kernels to sessions that are opened with `options`.
///
/// # Safety
/// `options` belongs to the ONNX Runtime behind `api`.
pub unsafe fn add_to_session_options(
    api: Api,
    options: *mut OrtSessionOptions,
    operators: Operators,
) -> Result<()> {
    // SAFETY: the caller's options belong to this ONNX Runtime, and so does the domain, which `api` made.
    unsafe { add_domain(api, options, domain(api, operators)?) }
}

/// # Safety
/// As [`add_to_session_options`]; `domain` belongs to that ONNX Runtime too.
pub(crate) unsafe fn add_domain(
    api: Api,
    options: *mut OrtSessionOptions,
    domain: *mut OrtCustomOpDomain,
) -> Result<()> {
    // SAFETY: the caller's options and domain belong to this ONNX Runtime; domains are never released.
    unsafe {
        expand_rule::disable(api, options)?;
        api.check((api.AddCustomOpDomain)(options, domain))
    }
}

/// The entry point for ONNX Runtime's `RegisterCustomOpsLibrary`. Any process that loads this library gets the kernels,
/// on its own ONNX Runtime.
///
/// # Safety
/// Called by ONNX Runtime with its own objects.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn RegisterCustomOps(
    options: *mut OrtSessionOptions,
    base: *const OrtApiBase,
) -> OrtStatusPtr {
    // SAFETY: ONNX Runtime passes its own OrtApiBase.
    match unsafe { Api::from_base(base) } {
        // SAFETY: the options come from the ONNX Runtime behind `base`. The session's providers are not known yet.
        Ok(api) => api.guard(|| unsafe { add_to_session_options(api, options, Operators::OfEveryProvider) }),
        // SAFETY: even an old table has CreateStatus, at the same place, and `status` calls nothing else.
        Err(error) => unsafe { Api::oldest(base) }.status(Err(error)),
    }
}
