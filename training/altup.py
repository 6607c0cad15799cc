"""Alternating Updates (AltUp), arXiv 2301.13310, section 3, Algorithm 1.

The widened representation X is stored as [K, batch, seq, d], blocks outermost, so that a block
is contiguous. One AltUp layer wraps an unchanged layer L of width d:

    predict   x̂^i = Σ_j P[i,j] · x^j                     for every block i
    compute   ỹ   = L(x^{j*})                            the active block j* only
    correct   x^i ← x̂^i + g[i] · (ỹ − x̂^{j*})           for every block i

L reads the old block x^{j*}, not its prediction.

The paper leaves some points open. This code decides them as follows:

* L is one whole T5 block with all its residuals (encoder: self-attention and feed-forward;
  decoder: self-attention, cross-attention and feed-forward). The paper wraps "a transformer
  layer" and counts K² + K scalars for each.
* P starts as the identity and g as ones. Then x^{j*} becomes L(x^{j*}) and every other block
  moves by the same difference, so at step 0 a Recycled model equals the dense model with the
  same weights. Training starts from a known good state, and a test can check the equality.
* Plain AltUp: the embedding table is [V, K·d], split into K blocks. The decoder's output is the
  concatenation, K·d wide, with one RMSNorm and one lm_head of that width, so that the norm
  weighs the blocks against each other.
* Recycled AltUp: the d-wide embedding is replicated K times; the decoder's blocks are summed and
  then normalised, d wide. RMSNorm cancels the factor K, so the sum is not divided by K.
* Encoder output, plain and recycled alike: the sum of the blocks, then the d-wide norm. The
  cross-attention projections keep the width of L, and the encoder's output has the same shape,
  [batch, seq, d], in every variant.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def predict(x: Tensor, coefs: Tensor) -> Tensor:
    """x [K, ..., d], coefs P [K, K] → x̂ [K, ..., d]."""
    return torch.einsum("ij,j...->i...", coefs, x)


def correct(predicted: Tensor, computed: Tensor, coefs: Tensor, active: int) -> Tensor:
    """x̂ [K, ..., d], ỹ [..., d], coefs g [K] → x [K, ..., d]."""
    error = computed - predicted[active]
    return predicted + coefs.reshape(-1, *[1] * error.dim()) * error


class AltUp(nn.Module):
    """The K² + K scalars of one layer, and the predict-compute-correct step around it."""

    def __init__(self, num_blocks: int, active: int):
        super().__init__()
        self.active = active
        self.prediction_coefs = nn.Parameter(torch.eye(num_blocks))
        self.correction_coefs = nn.Parameter(torch.ones(num_blocks))

    def forward(self, x: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
        """x [K, batch, seq, d] → [K, batch, seq, d]."""
        predicted = predict(x, self.prediction_coefs)
        return correct(predicted, layer(x[self.active]), self.correction_coefs, self.active)


def split(embedded: Tensor, num_blocks: int) -> Tensor:
    """[..., K·d] → [K, ..., d]: the input of plain AltUp. K = 1 is the dense model."""
    return torch.stack(embedded.chunk(num_blocks, dim=-1))


def concatenate(x: Tensor) -> Tensor:
    """[K, ..., d] → [..., K·d]: the output of plain AltUp, the inverse of `split`."""
    return torch.cat(x.unbind(0), dim=-1)


def replicate(embedded: Tensor, num_blocks: int) -> Tensor:
    """[..., d] → [K, ..., d]: the input of Recycled AltUp."""
    return embedded.expand(num_blocks, *embedded.shape)
