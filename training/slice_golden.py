"""Golden data of a slice of a tiny Gemma 3n: sliced with torch like Google's MatFormer Lab, computed by `transformers`.

    python -m training.slice_golden --out test/golden/slice      write it
    python -m training.slice_golden --check test/golden/slice    make it again and compare

slice.json is the input of `altup export --slice`; golden.safetensors holds input_ids i64 [S] and logits f32 [S, V] of
the slice of test/golden/gemma/gemma3n-k4.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Gemma3nForCausalLM, Gemma3nTextConfig

from training.gemma_golden import TOLERANCE, random_ids
from training.golden import write_or_check

BASE = Path(__file__).parent.parent / "test" / "golden" / "gemma" / "gemma3n-k4"
# Skips one layer with a sparse feed-forward layer, one without, and two that read other layers' caches.
SLICE = {"skip_layers": [1, 4, 8, 10], "intermediate_size": [128, 64, 128, 96, 32, 128, 64, 80]}
LENGTH = 41


def sliced() -> Gemma3nForCausalLM:
    base = Gemma3nTextConfig.from_pretrained(BASE)
    kept = [layer for layer in range(base.num_hidden_layers) if layer not in SLICE["skip_layers"]]
    first_shared = base.num_hidden_layers - base.num_kv_shared_layers
    fields = {
        **base.to_dict(),
        "num_hidden_layers": len(kept),
        "num_kv_shared_layers": sum(layer >= first_shared for layer in kept),
        "intermediate_size": SLICE["intermediate_size"],
        "layer_types": [base.layer_types[layer] for layer in kept],
        "activation_sparsity_pattern": [base.activation_sparsity_pattern[layer] for layer in kept],
        "attn_implementation": "eager",
    }
    model = Gemma3nForCausalLM(Gemma3nTextConfig(**fields)).eval()
    old = load_file(BASE / "model.safetensors")
    layers, size = base.num_hidden_layers, base.hidden_size_per_layer_input
    with torch.no_grad():
        for name, weight in model.named_parameters():
            parts = name.split(".")
            if "layers" in parts:
                place = parts.index("layers") + 1
                parts[place] = str(kept[int(parts[place])])
            source = old[".".join(parts)]
            if name.endswith("embed_tokens_per_layer.weight"):
                source = source.unflatten(1, (layers, size))[:, kept].flatten(1)
            elif name.endswith("per_layer_model_projection.weight"):
                source = source.unflatten(0, (layers, size))[kept].flatten(0, 1)
            else:
                source = source[tuple(slice(length) for length in weight.shape)]
            weight.copy_(source)
    model.tie_weights()
    return model


@torch.no_grad()
def outputs() -> dict[str, Tensor]:
    input_ids = random_ids(7, LENGTH)
    logits = sliced().double()(input_ids[None], use_cache=False).logits[0].float()
    return {"input_ids": input_ids, "logits": logits}


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slice.json").write_text(json.dumps(SLICE))
    save_file(outputs(), folder / "golden.safetensors")


def check(folder: Path) -> list[str]:
    kept, made = load_file(folder / "golden.safetensors"), outputs()
    wrong = [] if json.loads((folder / "slice.json").read_text()) == SLICE else ["slice.json"]
    if not torch.equal(kept["input_ids"], made["input_ids"]):
        wrong.append("input_ids")
    if (kept["logits"] - made["logits"]).abs().max() > TOLERANCE:
        wrong.append("logits")
    return wrong


if __name__ == "__main__":
    write_or_check(write, check)
