"""Golden data of LoRA adapters: adapters of tiny checkpoints, and the tensors `peft` merges them into.

    python -m training.lora_golden --out test/golden/lora      write it
    python -m training.lora_golden --check test/golden/lora    make it again and compare

Each folder holds an adapter as `save_pretrained` of `peft` writes it, for the checkpoint of test/golden that its
adapter_config.json names, and merged.safetensors: the base's tensors that `merge_and_unload` changed.
"""

import json
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from training.golden import random_noise, write_or_check

GOLDEN = Path(__file__).parent.parent / "test" / "golden"
GEMMA, GEMMA_3N, T5 = "gemma/gemma3", "gemma/gemma3n-k2", "t5-relatives/umt5"
TOLERANCE = 1e-6

# Name → base checkpoint and `LoraConfig` options.
ADAPTERS = {
    "plain": (GEMMA, {"r": 4, "lora_alpha": 10, "target_modules": ["q_proj", "v_proj"]}),
    "rslora": (
        GEMMA_3N,
        {
            "r": 4,
            "lora_alpha": 6,
            "use_rslora": True,
            "target_modules": ["q_proj", "up_proj", "down_proj", "correction_coefs"],
            "rank_pattern": {"down_proj": 7, "layers.1.self_attn.q_proj": 2},
            "alpha_pattern": {"up_proj": 3},
        },
    ),
    "dora": (GEMMA, {"r": 3, "lora_alpha": 5, "use_dora": True, "target_modules": "all-linear"}),
    "embedding": (T5, {"r": 2, "lora_alpha": 4, "target_modules": ["shared", "wo", "k"], "modules_to_save": ["lm_head"]}),
}


def noisy(adapter: str, name: str, parameter: nn.Parameter) -> Tensor:
    return torch.from_numpy(random_noise(f"{adapter} {name}", parameter)).float()


def make(adapter: str) -> nn.Module:
    """The adapted model, with every tensor of the adapter random."""
    base, options = ADAPTERS[adapter]
    kind = AutoModelForSeq2SeqLM if base == T5 else AutoModelForCausalLM
    model = get_peft_model(kind.from_pretrained(GOLDEN / base), LoraConfig(**options))
    model.peft_config["default"].base_model_name_or_path = base
    for name, parameter in model.named_parameters():
        if "lora_magnitude" in name:
            parameter.data = parameter.data * (1 + 0.1 * noisy(adapter, name, parameter))
        elif "lora_" in name or "modules_to_save" in name:
            parameter.data = noisy(adapter, name, parameter)
    return model


def merged(adapter: str, model: nn.Module) -> dict[str, Tensor]:
    base = load_file(GOLDEN / ADAPTERS[adapter][0] / "model.safetensors")
    state = model.merge_and_unload().state_dict()
    return {name: state[name].contiguous() for name in base if not torch.equal(state[name], base[name])}


def write(folder: Path) -> None:
    for adapter in ADAPTERS:
        model = make(adapter)
        model.save_pretrained(folder / adapter)
        (folder / adapter / "README.md").unlink(missing_ok=True)
        save_file(merged(adapter, model), folder / adapter / "merged.safetensors")


def check(folder: Path) -> list[str]:
    wrong = []
    with tempfile.TemporaryDirectory() as made:
        write(Path(made))
        for adapter in ADAPTERS:
            ours, kept = [load_file(root / adapter / "merged.safetensors") for root in (Path(made), folder)]
            if ours.keys() != kept.keys():
                wrong.append(f"{adapter}: other tensors are changed")
            wrong += [
                f"{adapter}: {name}"
                for name in ours.keys() & kept.keys()
                if (ours[name] - kept[name]).abs().max() > TOLERANCE
            ]
            configs = [json.loads((root / adapter / "adapter_config.json").read_text()) for root in (Path(made), folder)]
            if {**configs[0], "target_modules": 0} != {**configs[1], "target_modules": 0}:
                wrong.append(f"{adapter}: adapter_config.json")
    return wrong


if __name__ == "__main__":
    write_or_check(write, check)
