"""Sequence-AltUp against a literal reading of Algorithm 2, its baselines, and the properties of all three."""

import pytest
import torch

from training import golden, sequence
from training.config import SequenceConfig

BATCH, SEQ, D = 2, 11, 4


def running_mean(x):
    """A layer in which tokens depend on each other: its output depends on which tokens it receives."""
    return x.tanh() + x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]


@pytest.mark.parametrize("stride", [1, 2, 4, 5, 11, 20])
def test_layer_equals_algorithm_2_written_as_loops(stride):
    torch.manual_seed(stride)
    layer = sequence.SequenceAltUp(stride).double()
    a1, a2, b = coefs = torch.randn(3).double()
    layer.load_state_dict({"coefs": coefs})
    x = torch.randn(BATCH, SEQ, D).double()

    anchor = [i // stride * stride for i in range(SEQ)]
    predicted = [a1 * x[:, i] + a2 * x[:, anchor[i]] for i in range(SEQ)]
    kept = list(range(0, SEQ, stride))
    computed = dict(zip(kept, running_mean(x[:, kept]).unbind(1), strict=True))
    expected = [predicted[i] + b * (computed[anchor[i]] - predicted[anchor[i]]) for i in range(SEQ)]

    with torch.no_grad():
        torch.testing.assert_close(layer(x, running_mean), torch.stack(expected, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_stride_and_skip_hands_the_others_on(stride):
    x = torch.randn(BATCH, SEQ, D)
    kept = list(range(0, SEQ, stride))
    expected = x.clone()
    expected[:, kept] = running_mean(x[:, kept])
    assert torch.equal(sequence.StrideAndSkip(stride)(x, running_mean), expected)


def test_average_pool_takes_the_mean_of_a_rows_own_tokens():
    lengths = [SEQ, 6, 1]
    x = torch.randn(3, SEQ, D).double()
    pooled = sequence.average_pool(x, torch.tensor(lengths), 4)
    assert pooled.shape == (3, 3, D)
    for row, length in enumerate(lengths):
        groups = [x[row, start : min(start + 4, length)].mean(0) for start in range(0, length, 4)]
        torch.testing.assert_close(pooled[row, : len(groups)], torch.stack(groups), rtol=0, atol=1e-12)
        assert not pooled[row, len(groups) :].any()
    assert sequence.pooled_lengths(torch.tensor(lengths), 4).tolist() == [3, 2, 1]


@pytest.mark.parametrize("variant", ["sequence-altup", "stride-skip", "average-pool", "altup-sequence-moe"])
def test_padding_changes_nothing(variant):
    model, given = golden.build(variant).double(), golden.inputs()
    ids, lengths, decoder_ids = given["input_ids"], given["encoder_lengths"], given["decoder_input_ids"]
    with torch.no_grad():
        batched = model(ids, lengths, decoder_ids)
        for row, length in enumerate(lengths):
            alone = model(ids[row : row + 1, :length], length[None], decoder_ids[row : row + 1])
            torch.testing.assert_close(batched[row : row + 1], alone, rtol=0, atol=1e-11)


def test_kept_tokens_of_a_strided_layer_see_no_others():
    model = golden.build("stride-skip")
    given = golden.inputs()
    lengths = given["encoder_lengths"][:1]
    ids = given["input_ids"][:1]
    key_bias = model.key_bias(lengths, ids.shape[1])
    bias = model.encoder.position_bias(ids.shape[1]) + key_bias
    x = model.shared(ids)[None]
    changed = x.clone()
    changed[:, :, 1] += 1  # not one of 0, 3, 6, …
    with torch.no_grad():
        before, after = (model.encoder.block[0](state, bias, None, None) for state in (x, changed))
    assert torch.equal(before[:, :, ::3], after[:, :, ::3])
    assert torch.equal(after[:, :, 1], changed[:, :, 1])


def test_layers_count_from_both_ends():
    assert list(SequenceConfig().layers(12)) == list(range(1, 11))
    assert list(SequenceConfig(first_layer=0, last_layer=-1).layers(3)) == [0, 1, 2]
    assert list(SequenceConfig(first_layer=-2, last_layer=1).layers(3)) == [1]
    assert list(SequenceConfig(method="average").layers(3)) == []


@pytest.mark.parametrize("bad", [{"first_layer": 2}, {"last_layer": 3}, {"first_layer": -4}, {"last_layer": 0}])
def test_layers_that_are_no_range_are_refused(bad):
    with pytest.raises(ValueError, match="range of 3 layers"):
        SequenceConfig(**bad).layers(3)


@pytest.mark.parametrize("bad", [{"stride": 0}, {"method": "max"}])
def test_config_refuses(bad):
    with pytest.raises(ValueError):
        SequenceConfig(**bad)
