"""Golden data of Gemma, Gemma 3 and Gemma 3n: tiny models with random weights, computed by `transformers`.

    python -m training.gemma_golden --out test/golden/gemma      write it
    python -m training.gemma_golden --check test/golden/gemma    make it again and compare

Each variant's folder holds the files of `save_pretrained`, and golden.safetensors:

    input_ids      i64 [3, S]        full rows, no padding; S spans five sliding windows
    logits         f32 [3, S, V]
    greedy_prompt  i64 [P]
    greedy_tokens  i64 [256]         the greedy continuation of greedy_prompt

Weights are float32; activations are float64 wherever `transformers` does not cast to float32 itself.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, Gemma3nTextConfig, Gemma3TextConfig, GemmaConfig, PreTrainedModel

from training.golden import random_noise, run

SLIDING, FULL = "sliding_attention", "full_attention"
# heads · head_dim differs from hidden_size, and the window is shorter than each prompt.
SHAPE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "sliding_window": 8,
    "pad_token_id": 0,
    "eos_token_id": [1, 95],
    "bos_token_id": 2,
    "dtype": "float32",
    "attn_implementation": "eager",
}


def gemma1() -> GemmaConfig:
    shape = {name: value for name, value in SHAPE.items() if name != "sliding_window"}
    return GemmaConfig(**shape, intermediate_size=48, num_hidden_layers=4)


def gemma3(**options) -> Gemma3TextConfig:
    return Gemma3TextConfig(**SHAPE, intermediate_size=48, query_pre_attn_scalar=24, **options)


def gemma3n(**options) -> Gemma3nTextConfig:
    # Ids from 90 up have an embedding, but no per-layer embedding.
    own = {"vocab_size_per_layer_input": 90, "hidden_size_per_layer_input": 16, "laurel_rank": 6}
    return Gemma3nTextConfig(**SHAPE, **own, **options)


def variants() -> dict[str, GemmaConfig | Gemma3TextConfig | Gemma3nTextConfig]:
    four_to_one = [SLIDING, SLIDING, SLIDING, FULL]
    return {
        "gemma1": gemma1(),
        "gemma3": gemma3(num_hidden_layers=8, layer_types=2 * four_to_one),
        "gemma3-capped": gemma3(
            num_hidden_layers=8,
            layer_types=[FULL, SLIDING, SLIDING, SLIDING, SLIDING, SLIDING, SLIDING, FULL],
            final_logit_softcapping=4.0,
            rope_parameters={
                FULL: {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                SLIDING: {"rope_type": "default", "rope_theta": 100.0},
            },
            tie_word_embeddings=False,
        ),
        # Layers 8 to 11 read the keys and values of layers 6 (sliding) and 7 (full).
        "gemma3n-k4": gemma3n(
            num_hidden_layers=12,
            layer_types=3 * four_to_one,
            num_kv_shared_layers=4,
            altup_num_inputs=4,
            activation_sparsity_pattern=[0.9, 0.8, 0.5] + 9 * [0.0],
            intermediate_size=128,
            final_logit_softcapping=4.0,
        ),
        "gemma3n-k2": gemma3n(
            num_hidden_layers=8,
            layer_types=2 * four_to_one,
            num_kv_shared_layers=0,
            altup_num_inputs=2,
            altup_active_idx=1,
            altup_correct_scale=False,
            activation_sparsity_pattern=7 * [0.0] + [0.8],
            intermediate_size=[112, 128, 112, 128, 112, 128, 112, 128],
        ),
    }


# Attention gets a larger weight than usual, so that distant tokens affect the logits. Gemma 3n does not divide scores
# by √head_dim: its queries are made smaller, or rounding errors would grow from layer to layer.
NORM_SIZES = {"post_attention_layernorm": 2, "post_per_layer_input_norm": 0.5}
UNSCALED_QUERY_SIZE = 0.5

# `transformers` computes some parts, such as norms, in float32 even here. Their rounding depends on the processor and
# grows from layer to layer: two processors differed by 2.6e-5 in logits of up to 4.
TOLERANCE = 1e-4

ROWS, LENGTH = 3, 41
GREEDY_PROMPT, GREEDY_TOKENS = 19, 256
# Greedy tokens are a useful reference only if float32 arithmetic in any order picks the same ones, and if they do not
# repeat a single token.
LEAST_MARGIN = 1e-3
LEAST_DISTINCT = 8


def random_weight(name: str, like: Tensor, is_centred: bool) -> Tensor:
    """A random weight. Scales keep activations and logits of order 1, and make every part affect the logits.

    `is_centred`: norms multiply by 1 + weight, as in Gemma and Gemma 3.
    """
    noise = random_noise(name, like)
    width = like.shape[-1]
    if name == "model.norm.weight":
        # Both signs occur, or a tied head would repeat the last token for ever.
        value = noise - (1 if is_centred else 0)
    elif "norm" in name:
        norm = name.split(".")[-2]
        size = UNSCALED_QUERY_SIZE if norm == "q_norm" and not is_centred else NORM_SIZES.get(norm, 1)
        value = 0.2 * noise + size - (1 if is_centred else 0)
    elif name.endswith("correct_output_scale"):
        value = 1 + 0.3 * noise
    elif name.endswith("_coefs.weight"):
        value = 0.15 * noise
    elif name.endswith("modality_router.weight"):
        # The model divides its input by the width.
        value = 0.7 * np.sqrt(width) * noise
    elif name == "model.embed_tokens.weight":
        value = 0.3 * noise
    else:
        value = noise / np.sqrt(width)
    return torch.from_numpy(value.astype(np.float32))


def build(config: GemmaConfig | Gemma3TextConfig | Gemma3nTextConfig) -> PreTrainedModel:
    is_centred = not isinstance(config, Gemma3nTextConfig)
    model = AutoModelForCausalLM.from_config(config).eval()
    # A tied head has two names but is one weight.
    weights = {name: random_weight(name, weight, is_centred) for name, weight in model.named_parameters()}
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    return model


def random_ids(seed: int, *shape: int) -> Tensor:
    """Tokens from 3 up: no padding, no end, no beginning."""
    return torch.from_numpy(np.random.default_rng(seed).integers(3, SHAPE["vocab_size"], shape))


@torch.no_grad()
def greedy(model: PreTrainedModel, prompt: Tensor) -> tuple[Tensor, float]:
    """The greedy tokens after `prompt`, and the smallest gap between the best and second-best logit.

    Decodes with a cache, then computes the whole text again without one. Both must agree.
    """
    ids = model.generate(
        prompt[None], max_new_tokens=GREEDY_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0
    )[0]
    scores, choices = model(ids[None, :-1], use_cache=False).logits[0, len(prompt) - 1 :].topk(2)
    if not torch.equal(choices[:, 0], ids[len(prompt) :]):
        raise ValueError("decoding with a cache chose other tokens than computing the whole text at once")
    return ids[len(prompt) :], (scores[:, 0] - scores[:, 1]).min().item()


@torch.no_grad()
def outputs(model: PreTrainedModel) -> dict[str, Tensor]:
    model = model.double()
    input_ids = random_ids(20240312, ROWS, LENGTH)
    for seed in range(100):
        prompt = random_ids(seed, GREEDY_PROMPT)
        tokens, margin = greedy(model, prompt)
        if margin >= LEAST_MARGIN and len(tokens[-64:].unique()) >= LEAST_DISTINCT:
            break
    else:
        raise ValueError("no prompt gives greedy tokens worth comparing")
    return {
        "input_ids": input_ids,
        "logits": model(input_ids, use_cache=False).logits.float(),
        "greedy_prompt": prompt,
        "greedy_tokens": tokens.contiguous(),
    }


def write(folder: Path) -> None:
    for variant, config in variants().items():
        model = build(config)
        model.save_pretrained(folder / variant)
        save_file(outputs(model), folder / variant / "golden.safetensors")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    return run(parser, write, list(variants()), TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
