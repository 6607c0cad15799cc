"""The committed golden data: complete, current, and able to notice a change."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from training import embedding_golden, gemma_golden, golden, lora_golden, slice_golden, t5_golden
from training.t5 import T5

GOLDEN = Path(__file__).parents[2] / "test" / "golden"
COMMITTED = GOLDEN / "t5"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    golden.write(folder)
    return folder


def test_committed_data_is_current(fresh):
    assert golden.differences(COMMITTED, fresh, list(golden.VARIANTS), golden.TOLERANCE) == []


def test_committed_gemma_data_is_current(tmp_path):
    gemma_golden.write(tmp_path)
    variants, tolerance = list(gemma_golden.variants()), gemma_golden.TOLERANCE
    assert golden.differences(GOLDEN / "gemma", tmp_path, variants, tolerance) == []


def test_committed_data_of_t5_relatives_is_current(tmp_path):
    t5_golden.write(tmp_path)
    assert golden.differences(GOLDEN / "t5-relatives", tmp_path, list(t5_golden.MODELS), t5_golden.TOLERANCE) == []


def test_committed_data_of_lora_is_current():
    assert lora_golden.check(GOLDEN / "lora") == []


def test_committed_data_of_slices_is_current():
    assert slice_golden.check(GOLDEN / "slice") == []


def test_committed_embeddings_are_current():
    assert embedding_golden.check(GOLDEN / "embeddings.json") == []


@pytest.mark.parametrize("variant", list(golden.VARIANTS))
def test_stored_checkpoint_reproduces_stored_outputs(variant):
    folder = COMMITTED / variant
    stored = load_file(folder / "golden.safetensors")
    made = golden.outputs(T5.load(folder), stored)
    assert made.keys() | golden.inputs().keys() == stored.keys()
    for name, value in made.items():
        torch.testing.assert_close(stored[name], value, rtol=0, atol=golden.TOLERANCE, msg=name)


def test_sequences_go_past_the_largest_distance():
    assert max(golden.ENCODER_LENGTHS) > golden.DENSE.relative_attention_max_distance + 1
    assert golden.DECODER_LENGTH > golden.DENSE.relative_attention_max_distance + 1


@pytest.mark.parametrize("value", [1e-4, float("nan")])
def test_a_changed_value_is_found(fresh, tmp_path, value):
    shutil.copytree(fresh, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "dense" / "golden.safetensors"
    tensors = load_file(file)
    tensors["logits"][0, 0, 0] += value
    save_file(tensors, file)
    found = golden.differences(fresh, tmp_path, list(golden.VARIANTS), golden.TOLERANCE)
    assert len(found) == 1 and "logits" in found[0]
