"""Initial weights as in T5 v1.1: normal, scaled so that each product keeps unit variance.

Query weights are also divided by √d_kv, because attention does not divide its scores by it. AltUp's
scalars keep their initial values from `training.altup` and `training.sequence`.
"""

import zlib

import torch
from torch import Tensor

from training.config import T5Config
from training.t5 import T5


def standard_deviation(name: str, weight: Tensor, config: T5Config) -> float:
    fan_in = weight.shape[-1]
    if name == "shared.weight":
        return 1.0
    if name.endswith(".q.weight"):
        return (fan_in * config.d_kv) ** -0.5
    if name.endswith("relative_attention_bias.weight"):
        return config.d_model**-0.5
    return fan_in**-0.5


@torch.no_grad()
def initialise(model: T5, seed: int) -> T5:
    """Draws each matrix from its own random stream, so that variants start from the same values where shapes agree."""
    for name, weight in model.named_parameters():
        if name.endswith(("norm.weight", "coefs")):
            continue
        stream = torch.Generator().manual_seed(seed * 2**32 + zlib.crc32(name.encode()))
        weight.normal_(0, standard_deviation(name, weight, model.config), generator=stream)
    return model
