"""Golden data of T5's relatives: tiny models with random weights, computed by `transformers`.

    python -m training.t5_golden --out test/golden/t5-relatives      write it
    python -m training.t5_golden --check test/golden/t5-relatives    make it again and compare

Each variant's folder holds the files of `save_pretrained`, and golden.safetensors with those tensors of
`training.golden` that `transformers` returns: input_ids, encoder_lengths, encoder_output, decoder_input_ids, logits.

Weights are float32; activations are float64 wherever `transformers` does not cast to float32 itself.
"""

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from training.golden import inputs, random_noise, random_weight, run

SHAPE = {
    "vocab_size": 64,
    "d_model": 16,
    "num_heads": 3,
    "d_kv": 8,
    "d_ff": 40,
    "num_layers": 3,
    "num_decoder_layers": 3,
    "relative_attention_num_buckets": 16,
    "relative_attention_max_distance": 20,
    "dtype": "float32",
}
MODELS = {
    # T5 1.0: a feed-forward layer without a gate, and a head tied to the embedding table.
    "t5-1.0": (T5ForConditionalGeneration, T5Config(**SHAPE, feed_forward_proj="relu", tie_word_embeddings=True)),
    # T5 v1.1, like flan-t5, loaded and saved again: config.json then wrongly says that the head is tied.
    "t5-saved-again": (
        T5ForConditionalGeneration,
        T5Config(**SHAPE, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    ),
    # UL2's feed-forward layer.
    "t5-silu": (
        T5ForConditionalGeneration,
        T5Config(**SHAPE, feed_forward_proj="gated-silu", tie_word_embeddings=False),
    ),
    "mt5": (MT5ForConditionalGeneration, MT5Config(**SHAPE)),
    # UMT5 has a position bias in every layer.
    "umt5": (UMT5ForConditionalGeneration, UMT5Config(**SHAPE)),
}
TIED = ["t5-1.0"]

# `transformers` computes norms and softmax in float32, so processors differ in the last digits.
TOLERANCE = 1e-4


def build(variant: str) -> PreTrainedModel:
    kind, config = MODELS[variant]
    model = kind(config).eval()
    model.load_state_dict(
        {name: random_weight(variant, name, weight) for name, weight in model.named_parameters()}, strict=False
    )
    model.tie_weights()
    if variant not in TIED:
        head = torch.from_numpy(random_noise("lm_head.weight", model.lm_head.weight)).float()
        # Keeps logits of order 1, whether the model scales them or not.
        scale = 2.0 if variant == "umt5" else 2 / SHAPE["d_model"] ** 0.5
        model.lm_head.weight = nn.Parameter(scale * head)
    return model


@torch.no_grad()
def outputs(model: PreTrainedModel, given: dict[str, Tensor]) -> dict[str, Tensor]:
    model = model.double()
    lengths = given["encoder_lengths"]
    is_token = torch.arange(given["input_ids"].shape[1]) < lengths[:, None]
    made = model(
        input_ids=given["input_ids"],
        attention_mask=is_token.long(),
        decoder_input_ids=given["decoder_input_ids"],
        use_cache=False,
    )
    return {
        "encoder_output": (made.encoder_last_hidden_state * is_token[:, :, None]).float(),
        "logits": made.logits.float(),
    }


def write(folder: Path) -> None:
    given = inputs()
    for variant in MODELS:
        model = build(variant)
        model.save_pretrained(folder / variant)
        save_file(given | outputs(model, given), folder / variant / "golden.safetensors")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    return run(parser, write, list(MODELS), TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
