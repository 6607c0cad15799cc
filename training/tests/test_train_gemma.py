"""The Gemma variants' text windows, and the files that their trainer stores."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from training import gemma_data, gemma_variants, tokenizer, train_gemma


def text() -> np.ndarray:
    return gemma_data.stream([np.arange(10, 700), np.arange(10, 500)])


def test_windows_hold_every_token_but_the_rest_once():
    cut = gemma_data.windows(text(), first=5)
    learnt = cut[:, 1:].ravel()
    assert np.array_equal(learnt, text()[6 : 6 + len(learnt)])
    assert len(text()) - 6 - len(learnt) < gemma_data.WINDOW


def test_batches_ask_for_the_next_token_and_depend_on_the_seed_alone():
    first, again, other = (next(gemma_data.training_batches(text(), 2, seed)) for seed in (1, 1, 2))
    assert torch.equal(first.decoder_input_ids[:, 1:], first.labels[:, :-1])
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, other.labels)
    assert first.tokens == 2 * gemma_data.WINDOW


def test_shapes_are_the_same_layer_by_layer():
    dense, altup = (gemma_variants.VARIANTS[name] for name in ("gemma3", "gemma3n"))
    for field in ("hidden_size", "num_hidden_layers", "head_dim", "layer_types", "sliding_window", "vocab_size"):
        assert getattr(dense, field) == getattr(altup, field)


@pytest.mark.parametrize("variant", list(gemma_variants.VARIANTS))
def test_stored_checkpoint_is_what_was_trained(variant, tmp_path):
    model = train_gemma.initialise(variant, seed=1)
    ids = torch.randint(3, 2048, (1, 80), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = train_gemma.LanguageModel(model)(None, None, ids)
        train_gemma.save_checkpoint(model, tmp_path)
        stored = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
        found = stored(ids).logits
    assert (found - expected).abs().max() < 0.05
    assert (tmp_path / "model.safetensors").stat().st_size < 8e6


def test_texts_begin_with_the_token_that_ends_them(tmp_path):
    train_gemma.save_tokenizer(tmp_path)
    stored = AutoTokenizer.from_pretrained(tmp_path)
    assert stored("Emma").input_ids[0] == tokenizer.EOS_ID
    assert stored("Emma").input_ids[1:] == tokenizer.load().encode("Emma").ids[:-1]
    chat = [{"role": "user", "content": "Emma."}]
    assert stored.apply_chat_template(chat, tokenize=False) == "</s>Emma.\n\n"
