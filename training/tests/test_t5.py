"""The dense reference against Hugging Face's T5, with the same weights."""

import pytest
import torch
from transformers import T5Config as HuggingFaceConfig
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

from training import golden
from training.t5 import relative_position_bucket


@pytest.fixture(scope="module")
def pair():
    ours = golden.build("dense").double().eval()
    theirs = T5ForConditionalGeneration(HuggingFaceConfig(**ours.config.to_hugging_face())).double().eval()
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert unexpected == []
    assert set(missing) <= {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}
    return ours, theirs


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
    torch.testing.assert_close(actual, expected.logits, rtol=0, atol=1e-9)
    encoded = ours.encode(given["input_ids"], lengths)
    torch.testing.assert_close(encoded[mask], expected.encoder_last_hidden_state[mask], rtol=0, atol=1e-9)


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
