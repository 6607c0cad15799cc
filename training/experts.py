"""Sparse experts next to a dense feed-forward layer, which arXiv 2301.13310 combines with AltUp.

A router gives each token a probability for each of E small experts. The k most probable experts
compute the token; their outputs, weighted with the probabilities, are added to the dense layer's:

    p = softmax(W_r n),   FFN(n) + Σ_{e in the k largest of p} p_e · W_o^e gelu(W_i^e n),   n = norm(x)

AltUp needs no change for this: the experts are a part of the layer L.

The paper leaves some points open. This code decides them as follows:

* Every feed-forward layer of both stacks has experts, and they read the dense layer's input.
* An expert is W_o gelu(W_i n), with the tanh form of gelu as in T5 v1.1 but without its gate.
* The k chosen probabilities are used as they are, not normalised to sum to one: with k = 1 a
  normalised router would not learn.
* Nothing balances the load: no capacity, no noise, no auxiliary loss. Every token is computed,
  even if many others choose the same experts.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.config import MoEConfig


class Experts(nn.Module):
    def __init__(self, config: MoEConfig, d_model: int):
        super().__init__()
        self.top_k = config.top_k
        self.router = nn.Linear(d_model, config.num_experts, bias=False)
        self.wi = nn.Parameter(torch.randn(config.num_experts, config.expert_d_ff, d_model) * d_model**-0.5)
        self.wo = nn.Parameter(torch.randn(config.num_experts, d_model, config.expert_d_ff) * config.expert_d_ff**-0.5)

    def choose(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [n, d] → probabilities [n, k] of the chosen experts, and their indices [n, k]."""
        return self.router(tokens).softmax(-1).topk(self.top_k, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., d] → [..., d]."""
        tokens = x.flatten(0, -2)
        gates, chosen = self.choose(tokens)
        total = torch.zeros_like(tokens)
        for expert, (wi, wo) in enumerate(zip(self.wi, self.wo, strict=True)):
            token, place = (chosen == expert).nonzero(as_tuple=True)
            computed = F.gelu(tokens[token] @ wi.T, approximate="tanh") @ wo.T
            total = total.index_add(0, token, gates[token, place, None] * computed)
        return total.view_as(x)
