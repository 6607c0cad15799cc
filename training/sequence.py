"""Layers that compute fewer tokens, arXiv 2301.13310: Sequence-AltUp and its two baselines.

Sequence-AltUp (Algorithm 2) has the layer L compute every k-th token, and moves the others along
by what it predicted for them and how far that was off:

    predict   ŷ_i = a₁·x_i + a₂·x_{i*}                for every token i, i* = ⌊i/k⌋·k
    compute   ỹ   = L(x_0, x_k, x_2k, …)              the kept tokens, which attend to each other alone
    correct   y_i = ŷ_i + b·(ỹ_{i*} − ŷ_{i*})         for every token i

Stride-and-skip has the same L, and hands all other tokens on as they are. Average pooling replaces
each k embedded tokens by their mean, before the first layer and for good.

What the paper leaves open, and what is chosen here:

* L is one whole encoder block with its residuals, as in `training.altup`.
* (a₁, a₂, b) starts as (1, 0, 1): kept tokens become what L computes, and those behind one move by
  the same difference.
* Kept tokens keep their places: the relative position bias is that of their distances in the whole
  sequence, since the block that owns it sees all tokens.
* Padding is on the right, so a kept token that is padding has none but padding behind it.
* Average pooling: the mean is taken over a row's own tokens, not over padding; positions are counted
  in pooled tokens, in the encoder's bias as for the decoder, which attends to ⌈length/k⌉ of them.
* With AltUp in width too, L with its skipped tokens is the layer that AltUp wraps.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def spread(kept: Tensor, stride: int, seq: int) -> Tensor:
    """[batch, ⌈seq/k⌉, d] → [batch, seq, d]: every token gets what the kept one at or before it has."""
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
    """The baseline: tokens between the kept ones pass by the layer."""

    def __init__(self, stride: int):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
        """x [batch, seq, d], layer [batch, ⌈seq/k⌉, d] → the same; gives [batch, seq, d]."""
        seq = x.shape[1]
        is_kept = torch.arange(seq, device=x.device) % self.stride == 0
        return torch.where(is_kept[:, None], spread(layer(x[:, :: self.stride]), self.stride, seq), x)


def pooled_lengths(lengths: Tensor, stride: int) -> Tensor:
    """How many pooled tokens rows of these lengths give."""
    return (lengths + stride - 1) // stride


def average_pool(embedded: Tensor, lengths: Tensor, stride: int) -> Tensor:
    """embedded [batch, seq, d], lengths [batch] → [batch, ⌈seq/k⌉, d]; where all is padding, zeros."""
    seq = embedded.shape[1]
    is_token = (torch.arange(seq, device=embedded.device) < lengths[:, None]).to(embedded.dtype)[:, :, None]
    missing = (0, 0, 0, -seq % stride)
    groups = nn.functional.pad(embedded * is_token, missing).unflatten(1, (-1, stride))
    counts = nn.functional.pad(is_token, missing).unflatten(1, (-1, stride)).sum(2)
    return groups.sum(2) / counts.clamp(min=1)
