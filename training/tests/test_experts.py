"""Sparse experts against the sum over all of them, token by token."""

import pytest
import torch
from torch.nn import functional as F

from training import data, golden
from training.config import MoEConfig
from training.expert_use import expert_use
from training.experts import Experts

D = 6


@pytest.mark.parametrize(("num_experts", "top_k"), [(1, 1), (4, 1), (5, 2), (3, 3)])
def test_equals_the_formula(num_experts, top_k):
    torch.manual_seed(num_experts)
    experts = Experts(MoEConfig(num_experts, expert_d_ff=5, top_k=top_k), D).double()
    x = torch.randn(2, 7, D).double()
    with torch.no_grad():
        made = experts(x)
        for token, value in zip(x.flatten(0, 1), made.flatten(0, 1), strict=True):
            p = (experts.router.weight @ token).softmax(0)
            chosen = sorted(range(num_experts), key=lambda e: -p[e])[:top_k]
            expected = sum(
                p[e] * (experts.wo[e] @ F.gelu(experts.wi[e] @ token, approximate="tanh")) for e in chosen
            )
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)


def test_router_and_chosen_experts_alone_learn():
    experts = Experts(MoEConfig(num_experts=8, expert_d_ff=5, top_k=1), D)
    x = torch.randn(1, 1, D)
    experts(x).square().sum().backward()
    chosen = int(experts.router(x).argmax())
    assert [bool(grad.any()) for grad in experts.wi.grad] == [expert == chosen for expert in range(8)]
    assert experts.router.weight.grad.any()


@pytest.mark.parametrize("top_k", [0, 9])
def test_config_refuses(top_k):
    with pytest.raises(ValueError, match="top_k"):
        MoEConfig(num_experts=8, top_k=top_k)


def test_use_counts_every_token_of_every_layer():
    model = golden.build("moe")
    batch = data.make_batch([(golden.inputs()["input_ids"][0].numpy(), 12)], prefix=8, continuation=8)
    use = expert_use(model, [batch, batch])
    assert len(use) == 6 and all(len(parts) == 5 for parts in use.values())
    for parts in use.values():
        assert sum(parts) == pytest.approx(2, abs=1e-3)
