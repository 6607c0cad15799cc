"""Layers that compute fewer tokens, arXiv 2301.13310: Sequence-AltUp and its two baselines.

Sequence-AltUp (Algorithm 2) lets the layer L compute every k-th token. The others get a prediction,
corrected by the prediction error at the kept token before them:

    predict   ŷ_i = a₁·x_i + a₂·x_{i*}                for every token i, i* = ⌊i/k⌋·k
    compute   ỹ   = L(x_0, x_k, x_2k, …)              the kept tokens, which attend only to each other
    correct   y_i = ŷ_i + b·(ỹ_{i*} − ŷ_{i*})         for every token i

Stride-and-skip has the same L, and passes all other tokens on unchanged. Average pooling replaces
every k embedded tokens with their mean, before the first layer and for all later layers.

The paper leaves some points open. This code decides them as follows:

* L is one whole encoder block with its residuals, as in `training.altup`.
* (a₁, a₂, b) starts as (1, 0, 1): kept tokens become the output of L, and the tokens after each one
  move by the same difference.
* Kept tokens keep their positions: the relative position bias uses distances in the whole sequence,
  because the block that owns the bias sees all tokens.
* Padding is on the right, so only padding follows a kept token that is padding.
* Average pooling takes the mean over a row's own tokens, not over padding. Positions count pooled
  tokens, in the encoder's bias and for the decoder, which attends to ⌈length/k⌉ of them.
* With AltUp in width too, AltUp wraps the strided layer: L together with its skipped tokens.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def spread(kept: Tensor, stride: int, seq: int) -> Tensor:
    """[batch, ⌈seq/k⌉, d] → [batch, seq, d]: each token gets the value of the kept token at or before it."""
    return kept.repeat_interleave(stride, dim=1)[:, :seq]


class SequenceAltUp(nn.Module):
    """The three scalars of one layer, and the predict-compute-correct step around it."""

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride
        self.coefs = nn.Parameter(torch.tensor([1.0, 0.0, 1.0]))

    def forward(self, x: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
        """x [batch, seq, d], layer [batch, ⌈seq/k⌉, d] → the same; gives [batch, seq, d]."""
        a1, a2, b = self.coefs
        seq = x.shape[1]
        kept = x[:, :: self.stride]
        predicted = a1 * x + a2 * spread(kept, self.stride, seq)
        error = layer(kept) - predicted[:, :: self.stride]
        return predicted + b * spread(error, self.stride, seq)


class StrideAndSkip(nn.Module):
    """The baseline: tokens between the kept ones bypass the layer."""

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
        """x [batch, seq, d], layer [batch, ⌈seq/k⌉, d] → the same; gives [batch, seq, d]."""
        seq = x.shape[1]
        is_kept = torch.arange(seq, device=x.device) % self.stride == 0
        return torch.where(is_kept[:, None], spread(layer(x[:, :: self.stride]), self.stride, seq), x)


def pooled_lengths(lengths: Tensor, stride: int) -> Tensor:
    """The number of pooled tokens of rows with these lengths."""
    return (lengths + stride - 1) // stride


def average_pool(embedded: Tensor, lengths: Tensor, stride: int) -> Tensor:
    """embedded [batch, seq, d], lengths [batch] → [batch, ⌈seq/k⌉, d]; zeros where all k tokens are padding."""
    seq = embedded.shape[1]
    is_token = (torch.arange(seq, device=embedded.device) < lengths[:, None]).to(embedded.dtype)[:, :, None]
    missing = (0, 0, 0, -seq % stride)
    groups = nn.functional.pad(embedded * is_token, missing).unflatten(1, (-1, stride))
    counts = nn.functional.pad(is_token, missing).unflatten(1, (-1, stride)).sum(2)
    return groups.sum(2) / counts.clamp(min=1)
