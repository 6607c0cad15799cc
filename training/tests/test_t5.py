"""The dense reference against Hugging Face's T5, with the same weights."""

import pytest
import torch
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from training import golden
from training.t5 import T5, relative_position_bucket


# Hugging Face computes the variance of every norm in float32 even in a float64 model.
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Loads through a folder and `from_pretrained`, because both must read the same files in the same way."""
    folder = tmp_path_factory.mktemp("golden")
    golden.write(folder)
    theirs, report = T5ForConditionalGeneration.from_pretrained(
        folder / "dense", dtype=torch.float64, output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return T5.load(folder / "dense").double(), theirs.eval()


@torch.no_grad()
def test_logits_equal_hugging_face_with_padding(pair):
    ours, theirs = pair
    given = golden.inputs()
    lengths = given["encoder_lengths"]
    mask = torch.arange(given["input_ids"].shape[1]) < lengths[:, None]
    expected = theirs(
        input_ids=given["input_ids"], attention_mask=mask.long(), decoder_input_ids=given["decoder_input_ids"]
    )
    actual = ours(given["input_ids"], lengths, given["decoder_input_ids"])
    assert 1 < actual.abs().max() < 20
    torch.testing.assert_close(actual, expected.logits, rtol=0, atol=TOLERANCE)
    encoded = ours.encode(given["input_ids"], lengths)
    torch.testing.assert_close(encoded[mask], expected.encoder_last_hidden_state[mask], rtol=0, atol=TOLERANCE)


@torch.no_grad()
def test_padding_changes_nothing(pair):
    ours, _ = pair
    given = golden.inputs()
    batched = ours(given["input_ids"], given["encoder_lengths"], given["decoder_input_ids"])
    for row, length in enumerate(given["encoder_lengths"]):
        alone = ours(
            given["input_ids"][row : row + 1, :length], length[None], given["decoder_input_ids"][row : row + 1]
        )
        torch.testing.assert_close(batched[row : row + 1], alone, rtol=0, atol=1e-12)


@torch.no_grad()
def test_decoder_is_causal(pair):
    ours, _ = pair
    given = golden.inputs()
    changed = given["decoder_input_ids"].clone()
    changed[:, 10:] = 2
    before = ours(given["input_ids"], given["encoder_lengths"], given["decoder_input_ids"])
    after = ours(given["input_ids"], given["encoder_lengths"], changed)
    torch.testing.assert_close(before[:, :10], after[:, :10], rtol=0, atol=1e-12)
    assert (before[:, 10:] - after[:, 10:]).abs().max() > 0.1


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (16, 20)])
def test_buckets_equal_hugging_face(bidirectional, num_buckets, max_distance):
    distance = torch.arange(-600, 601)
    expected = T5Attention._relative_position_bucket(distance, bidirectional, num_buckets, max_distance)
    actual = relative_position_bucket(distance, bidirectional, num_buckets, max_distance)
    assert actual.tolist() == expected.tolist()
