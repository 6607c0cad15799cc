"""The trainer: schedule, initial weights, and that a resumed run equals an uninterrupted one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from training import data, golden, train, variants
from training.initialise import initialise
from training.t5 import T5

SETTINGS = train.Settings(steps=4, batch_size=2, warmup_steps=2, evaluate_every=2, save_every=2)


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(train, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(variants, "MODELS", tmp_path / "models")
    monkeypatch.setattr(variants, "VARIANTS", {"tiny": golden.VARIANTS["altup-k2"]})
    variants.folder("tiny").mkdir(parents=True)
    return [np.append(np.random.default_rng(0).integers(2, golden.DENSE.vocab_size, 600), 1)]


def run_to(steps: int, chapters) -> train.Run:
    run = train.Run("tiny", SETTINGS)
    run.resume()
    whole, run.settings = run.settings, replace(SETTINGS, steps=steps)
    # The schedule is that of the whole run; only the loop stops earlier.
    original, train.learning_rate = train.learning_rate, lambda step, _: rate(step, whole)
    try:
        run.train(data.training_batches(chapters, 2, SETTINGS.seed), data.held_out_batches(chapters))
    finally:
        train.learning_rate = original
    run.settings = whole
    run.save()
    return run


rate = train.learning_rate


def test_a_resumed_run_is_the_same_run(tiny):
    run_to(2, tiny)
    resumed = run_to(4, tiny)
    resumed.file.unlink()
    straight = run_to(4, tiny)
    assert straight.progress["tokens"] == resumed.progress["tokens"]
    for name, weight in straight.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_finish_stores_float16_and_measures_it(tiny):
    run = run_to(4, tiny)
    batches = data.held_out_batches(tiny)
    run.finish(batches)
    stored = T5.load(variants.folder("tiny"))
    assert torch.equal(stored.lm_head.weight, run.model.lm_head.weight.half().float())
    assert '"held_out_loss": ' + str(round(train.held_out_loss(stored, batches), 4)) in (
        variants.folder("tiny") / "training.json"
    ).read_text()


def test_learning_rate():
    settings = train.Settings(steps=100, warmup_steps=10, peak_learning_rate=1.0, final_rate_part=0.1)
    assert rate(0, settings) == pytest.approx(0.1)
    assert rate(10, settings) == pytest.approx(1.0)
    assert rate(55, settings) == pytest.approx(0.55)
    assert rate(100, settings) == pytest.approx(0.1)


def test_every_weight_is_in_the_optimizer_once():
    model = golden.build("altup-sequence-moe")
    groups = train.make_optimizer(model, SETTINGS).param_groups
    held = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(held) == sorted(id(weight) for weight in model.parameters())
    undecayed = {id(weight) for group in groups if group["weight_decay"] == 0 for weight in group["params"]}
    assert id(model.encoder.block[0].altup.prediction_coefs) in undecayed
    assert id(model.encoder.block[0].sequence.coefs) in undecayed
    assert id(model.decoder.block[0].layer[-1].experts.wi) not in undecayed
    assert id(model.lm_head.weight) not in undecayed


def test_recycled_starts_as_dense_and_variants_share_their_first_weights():
    dense = initialise(T5(variants.DENSE), seed=1).state_dict()
    recycled = initialise(T5(variants.VARIANTS["recycled-k2"]), seed=1).state_dict()
    plain = initialise(T5(variants.VARIANTS["altup-k2"]), seed=1).state_dict()
    assert all(torch.equal(recycled[name], weight) for name, weight in dense.items())
    assert torch.equal(plain["decoder.block.3.layer.2.DenseReluDense.wo.weight"],
                       dense["decoder.block.3.layer.2.DenseReluDense.wo.weight"])
    assert dense["shared.weight"].std() == pytest.approx(1, abs=0.02)
    assert dense["encoder.block.0.layer.0.SelfAttention.q.weight"].std() == pytest.approx((128 * 32) ** -0.5, rel=0.05)


def test_float16_overflow_is_refused(tmp_path):
    model = golden.build("dense")
    with torch.no_grad():
        model.lm_head.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match="lm_head"):
        train.save_checkpoint(model, tmp_path)


def test_wider_matrices_learn_more_slowly():
    narrow, wide = torch.empty(8, 128), torch.empty(8, 256)
    for name in ("lm_head.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"):
        assert train.rate_scale(name, wide, SETTINGS) == train.rate_scale(name, narrow, SETTINGS) / 2
    assert train.rate_scale("shared.weight", wide, SETTINGS) == train.rate_scale("shared.weight", narrow, SETTINGS)
