//! The operators of domain `ai.altup`, version 1, as ONNX Runtime custom operators.

mod attention;
pub(crate) mod blocks;
mod collapse;
mod compute;
mod correct;
mod correct_predict;
mod custom_op;
pub(crate) mod domain;
mod expand;
mod expand_rule;
mod gaussian_top_k;
mod kernel_info;
pub(crate) mod mapped_file;
mod match_blocks;
mod mixing;
mod predict;
mod quantized_gather;
mod quantized_mat_mul;
mod rows;
mod select;
mod sequence_predict_correct;
mod shapes;
mod storage;
pub(crate) mod tied_matrix;
mod tokens;

pub(crate) use compute::{Compute, Tensor};
pub(crate) use custom_op::{CustomOp, Kernel};
pub use domain::{Operators, RegisterCustomOps, add_to_session_options};
pub(crate) use kernel_info::KernelInfo;
pub(crate) use shapes::Shapes;
pub(crate) use storage::Storage;
#[cfg(any(test, feature = "timing"))]
pub(crate) use tokens::{PIECE, SERIAL};

use attention::{Codes, CrossAttention, Floats, GroupedQueryAttention, SelfAttention};
use collapse::Collapse;
use correct::Correct;
use correct_predict::CorrectPredict;
use expand::Expand;
use gaussian_top_k::GaussianTopK;
use predict::Predict;
use quantized_gather::QuantizedGather;
use quantized_mat_mul::QuantizedMatMul;
use select::Select;
use sequence_predict_correct::SequencePredictCorrect;

use half::{bf16, f16};

use crate::cuda::{Device, DeviceKernel, OnDevice};
use crate::ort::Api;

/// Every operator but [`cached_attention`], with its kernels for elements of type `T`.
pub(crate) fn operators<T: Storage, D: Device>(api: Api) -> [Operator; 11] {
    [
        Operator::everywhere::<Expand<T>, D>(api),
        Operator::everywhere::<Select<T>, D>(api),
        Operator::everywhere::<Predict<T>, D>(api),
        Operator::everywhere::<Correct<T>, D>(api),
        Operator::everywhere::<CorrectPredict<T>, D>(api),
        Operator::everywhere::<Collapse<T>, D>(api),
        Operator::everywhere::<GaussianTopK<T>, D>(api),
        Operator::everywhere::<SequencePredictCorrect<T>, D>(api),
        Operator::on_cpu::<SelfAttention<T>>(api),
        Operator::on_cpu::<CrossAttention<T>>(api),
        Operator::on_cpu::<QuantizedMatMul<T>>(api),
    ]
}

/// Operators for f32 only.
pub(crate) fn operators_of_f32(api: Api) -> [Operator; 1] {
    [Operator::on_cpu::<QuantizedGather>(api)]
}

/// Attention over a decoder-only model's caches, of each type and of f32 over caches of f16. `in_bytes`: the caches'
/// tensors hold codes in int8.
pub(crate) fn cached_attention(api: Api, in_bytes: bool) -> [Operator; 4] {
    if in_bytes {
        return [
            Operator::on_cpu::<GroupedQueryAttention<f32, Codes<f32>>>(api),
            Operator::on_cpu::<GroupedQueryAttention<f16, Codes<f16>>>(api),
            Operator::on_cpu::<GroupedQueryAttention<bf16, Codes<bf16>>>(api),
            Operator::on_cpu::<GroupedQueryAttention<f32, Codes<f16>>>(api),
        ];
    }
    [
        Operator::on_cpu::<GroupedQueryAttention<f32, Floats<f32>>>(api),
        Operator::on_cpu::<GroupedQueryAttention<f16, Floats<f16>>>(api),
        Operator::on_cpu::<GroupedQueryAttention<bf16, Floats<bf16>>>(api),
        Operator::on_cpu::<GroupedQueryAttention<f32, Floats<f16>>>(api),
    ]
}

/// An operator's kernels.
pub(crate) struct Operator {
    pub cpu: CustomOp,
    /// Without one, sessions on a device get no kernel at all: they would copy its data to the CPU and back.
    pub device: Option<CustomOp>,
    /// [`Kernel::is_fast`]. If not, sessions compute the function body.
    pub is_fast: bool,
}

impl Operator {
    fn everywhere<K: DeviceKernel, D: Device>(api: Api) -> Self {
        let device = Some(CustomOp::new::<OnDevice<K, D>>(api));
        Self { cpu: CustomOp::new::<K>(api), device, is_fast: K::is_fast() }
    }

    fn on_cpu<K: Kernel>(api: Api) -> Self {
        Self { cpu: CustomOp::new::<K>(api), device: None, is_fast: K::is_fast() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cuda::Cuda;
    use crate::cuda::tests::library;

    #[test]
    fn the_contract_describes_every_operator_and_no_other() {
        let contract = include_str!("../../../docs/graphs.md");
        let (_, section) =
            contract.split_once("## Operators of `ai.altup`").expect("the section on operators");
        let described = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let api = library().api;
        let operators: Vec<_> = operators::<f32, Cuda>(api)
            .into_iter()
            .chain(cached_attention(api, false))
            .chain(operators_of_f32(api))
            .collect();
        let listed: BTreeSet<_> = operators.iter().map(|operator| operator.cpu.name()).collect();
        assert_eq!(listed, described.collect());
    }
}
