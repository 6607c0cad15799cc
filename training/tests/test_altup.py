"""AltUp against a literal reading of Algorithm 1, and the identities that follow from it."""

from dataclasses import replace

import pytest
import torch

from training import altup, golden
from training.config import AltUpConfig, T5Config
from training.t5 import T5

K, BATCH, SEQ, D = 3, 2, 5, 4


def logits(model: T5) -> torch.Tensor:
    return golden.outputs(model, golden.inputs())["logits"]


def test_layer_equals_algorithm_1_written_as_loops():
    torch.manual_seed(0)
    layer = altup.AltUp(K, active=1).double()
    p = torch.randn(K, K).double()
    g = torch.randn(K).double()
    layer.load_state_dict({"prediction_coefs": p, "correction_coefs": g})
    x_old = torch.randn(K, BATCH, SEQ, D).double()

    predicted = [sum(p[i, j] * x_old[j] for j in range(K)) for i in range(K)]
    computed = x_old[1].tanh()
    expected = [predicted[i] + g[i] * (computed - predicted[1]) for i in range(K)]

    with torch.no_grad():
        torch.testing.assert_close(layer(x_old, torch.tanh), torch.stack(expected), rtol=0, atol=1e-12)


def test_split_and_concatenate_are_inverse_and_keep_blocks_apart():
    embedded = torch.arange(12.0).reshape(1, 2, 6)
    x = altup.split(embedded, 3)
    assert x.shape == (3, 1, 2, 2)
    assert x[1].tolist() == [[[2, 3], [8, 9]]]
    assert torch.equal(altup.concatenate(x), embedded)


def test_active_block():
    assert [AltUpConfig(3).active_block(layer) for layer in range(5)] == [0, 1, 2, 0, 1]
    assert [AltUpConfig(3, selection="same").active_block(layer) for layer in range(5)] == [0] * 5


@pytest.mark.parametrize("variant", ["recycled-identity", "altup-k1-identity", "sequence-identity"])
def test_identities_equal_dense(variant):
    # Not exact for Recycled: it normalises a sum K times as large, and the norm's ε does not scale with it.
    torch.testing.assert_close(logits(golden.build(variant)), logits(golden.build("dense")), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", [name for name in golden.VARIANTS if name != "dense" and "identity" not in name])
def test_the_others_do_not(variant):
    assert (logits(golden.build(variant)) - logits(golden.build("dense"))).abs().max() > 0.3


def test_recycled_starts_as_dense():
    """In a new model, before any weight is loaded, P is the identity and g is one."""
    dense = T5(golden.DENSE)
    recycled = T5(replace(golden.DENSE, altup=AltUpConfig(4, recycled=True)))
    missing, unexpected = recycled.load_state_dict(dense.state_dict(), strict=False)
    assert unexpected == []
    assert missing and all(".altup." in name for name in missing)
    torch.testing.assert_close(logits(recycled), logits(dense), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", list(golden.VARIANTS))
def test_every_weight_is_used_and_trained(variant):
    model = golden.build(variant)
    given = golden.inputs()
    output = model(given["input_ids"], given["encoder_lengths"], given["decoder_input_ids"])
    output.logsumexp(-1).sum().backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    # With one block and g = 1 the whole error is added back, so the prediction cancels.
    expected = [name for name in idle if variant == "altup-k1-identity" and name.endswith("prediction_coefs")]
    assert idle == expected
    # With stride 1 and b = 1 it cancels likewise: of the three scalars only b matters.
    if variant == "sequence-identity":
        for block in model.encoder.block:
            torch.testing.assert_close(block.sequence.coefs.grad[:2], torch.zeros(2), rtol=0, atol=1e-4)


def test_plain_altup_adds_k_squared_plus_k_scalars_a_layer_and_wider_tables():
    def size(altup_config):
        return sum(weight.numel() for weight in T5(replace(golden.DENSE, altup=altup_config)).parameters())

    layers = golden.DENSE.num_layers + golden.DENSE.num_decoder_layers
    scalars = layers * (4 * 4 + 4)
    tables = 2 * 3 * golden.DENSE.vocab_size * golden.DENSE.d_model
    wider_norm = 3 * golden.DENSE.d_model
    assert size(AltUpConfig(4)) - size(None) == scalars + tables + wider_norm
    assert size(AltUpConfig(4, recycled=True)) - size(None) == scalars


@pytest.mark.parametrize("variant", list(golden.VARIANTS))
def test_config_round_trip(variant):
    config = golden.build(variant).config
    assert T5Config.from_hugging_face(config.to_hugging_face()) == config


@pytest.mark.parametrize("bad", [{"num_blocks": 0}, {"selection": "random"}])
def test_config_refuses(bad):
    with pytest.raises(ValueError):
        AltUpConfig(**bad)


def test_a_config_without_num_blocks_is_not_widened():
    config = golden.VARIANTS["sequence-altup"].to_hugging_face()
    assert config["altup"] == {"sequence": {"stride": 4, "method": "altup", "first_layer": 1, "last_layer": -2}}
    assert T5Config.from_hugging_face(config).altup is None
