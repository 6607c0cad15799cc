"""Golden data: tiny models with random weights, their inputs, and the expected output of each layer.

    python -m training.golden --out test/golden/t5      write it
    python -m training.golden --check test/golden/t5    make it again and compare

Each variant's folder is a checkpoint (config.json, model.safetensors) and golden.safetensors:

    input_ids          i64 [3, S]        right-padded with 0
    encoder_lengths    i32 [3]
    encoder_output     f32 [3, S', d]    after the final norm; zero beyond a row's length. S' is S, or ⌈S/k⌉ if pooled
    decoder_input_ids  i64 [3, T]        starts with 0
    logits             f32 [3, T, V]
    encoder_states.{l} f32 [K, 3, S', d] X after layer l; l = 0 is the expanded embedding
    decoder_states.{l} f32 [K, 3, T, d]

Everything is computed in float64 and stored in float32. S and T exceed the maximum relative
distance, and heads · d_kv differs from d_model, so that a mix-up changes the results.
"""

import argparse
import sys
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.config import AltUpConfig, MoEConfig, SequenceConfig, T5Config
from training.t5 import T5

DENSE = T5Config(
    vocab_size=64,
    d_model=16,
    num_heads=3,
    d_kv=8,
    d_ff=40,
    num_layers=3,
    num_decoder_layers=3,
    relative_attention_num_buckets=16,
    relative_attention_max_distance=20,
)
VARIANTS = {
    "dense": DENSE,
    "altup-k2": replace(DENSE, altup=AltUpConfig(2)),
    "altup-k4": replace(DENSE, altup=AltUpConfig(4)),
    "sameup-k2": replace(DENSE, altup=AltUpConfig(2, selection="same")),
    "recycled-k2": replace(DENSE, altup=AltUpConfig(2, recycled=True)),
    "sequence-altup": replace(DENSE, sequence=SequenceConfig(4)),
    "stride-skip": replace(DENSE, sequence=SequenceConfig(3, "skip", first_layer=-3, last_layer=1)),
    "average-pool": replace(DENSE, sequence=SequenceConfig(4, "average")),
    "moe": replace(DENSE, moe=MoEConfig(num_experts=5, expert_d_ff=8, top_k=2)),
    "altup-moe": replace(DENSE, altup=AltUpConfig(2), moe=MoEConfig(num_experts=4, expert_d_ff=16, top_k=1)),
    # All options at once, and pooling of several blocks.
    "altup-sequence-moe": replace(
        DENSE,
        altup=AltUpConfig(2),
        sequence=SequenceConfig(3, first_layer=0, last_layer=-1),
        moe=MoEConfig(num_experts=3, expert_d_ff=8, top_k=1),
    ),
    "recycled-average-pool": replace(DENSE, altup=AltUpConfig(2, recycled=True), sequence=SequenceConfig(2, "average")),
    # These three must equal `dense`: P = I, g = 1; K = 1, g = 1 with any P; stride 1, b = 1 with any a₁, a₂.
    "recycled-identity": replace(DENSE, altup=AltUpConfig(2, recycled=True)),
    "altup-k1-identity": replace(DENSE, altup=AltUpConfig(1)),
    "sequence-identity": replace(DENSE, sequence=SequenceConfig(1, first_layer=0, last_layer=-1)),
}
ENCODER_LENGTHS = [25, 13, 5]
DECODER_LENGTH = 29
# float64 arithmetic in another order, rounded to float32, differs by a few units in the last place at values up to ~10.
TOLERANCE = 5e-6


def random_noise(name: str, like: Tensor) -> np.ndarray:
    """Standard normal numbers that depend only on the name and shape."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(like.shape))


def random_weight(variant: str, name: str, like: Tensor) -> Tensor:
    """A weight that depends only on the name and shape, so that variants share every weight they can.

    Scales keep activations and logits of order 1, norm weights near 1, and attention neither flat
    nor saturated. `variant` matters only for the identity variants.
    """
    noise = random_noise(name, like)
    if name.endswith("norm.weight"):
        value = 1 + 0.2 * noise
    elif name.endswith("prediction_coefs"):
        identity = np.eye(len(like))
        value = identity if variant == "recycled-identity" else 0.6 * identity + 0.3 * noise
    elif name.endswith("correction_coefs"):
        value = np.ones(len(like)) if variant.endswith("identity") else 1 + 0.3 * noise
    elif name.endswith("sequence.coefs"):
        value = np.array([0.7, 0.3, 1]) + 0.2 * noise
        if variant.endswith("identity"):
            value[2] = 1
    elif name == "shared.weight" or name.endswith("relative_attention_bias.weight"):
        value = noise
    elif name.endswith(".q.weight"):
        value = noise / np.sqrt(DENSE.d_model * DENSE.d_kv)
    elif name == "lm_head.weight" or name.endswith("router.weight"):
        value = 2 * noise / np.sqrt(like.shape[-1])
    else:
        value = noise / np.sqrt(like.shape[-1])
    # Rounded to float32 here, so that the outputs are computed with exactly the stored weights.
    return torch.from_numpy(value.astype(np.float32))


def build(variant: str) -> T5:
    model = T5(VARIANTS[variant])
    model.load_state_dict({name: random_weight(variant, name, value) for name, value in model.state_dict().items()})
    return model


def inputs() -> dict[str, Tensor]:
    """Random tokens from 2 up, so that neither padding (0) nor </s> (1) occurs inside a sequence by chance."""
    rng = np.random.default_rng(20231113)
    shape = (len(ENCODER_LENGTHS), max(ENCODER_LENGTHS))
    lengths = np.array(ENCODER_LENGTHS, dtype=np.int32)
    input_ids = rng.integers(2, DENSE.vocab_size, shape)
    input_ids[np.arange(shape[1]) >= lengths[:, None]] = 0
    decoder_input_ids = rng.integers(2, DENSE.vocab_size, (shape[0], DECODER_LENGTH))
    decoder_input_ids[:, 0] = 0
    arrays = {"input_ids": input_ids, "encoder_lengths": lengths, "decoder_input_ids": decoder_input_ids}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@torch.no_grad()
def outputs(model: T5, given: dict[str, Tensor]) -> dict[str, Tensor]:
    model = model.double()
    input_ids, lengths = given["input_ids"], given["encoder_lengths"]
    encoder_states = model.encoder_states(input_ids, lengths)
    encoded = model.encoder.output(encoder_states[-1])
    decoder_states = model.decoder_states(given["decoder_input_ids"], encoded, lengths)
    is_token = torch.arange(encoded.shape[1]) < model.encoder_positions(lengths)[:, None]
    made = {
        "encoder_output": encoded * is_token[:, :, None],
        "logits": model.lm_head(model.decoder.output(decoder_states[-1])),
    }
    made |= {f"encoder_states.{layer}": state for layer, state in enumerate(encoder_states)}
    made |= {f"decoder_states.{layer}": state for layer, state in enumerate(decoder_states)}
    return {name: value.float().contiguous() for name, value in made.items()}


def write(folder: Path) -> None:
    for variant in VARIANTS:
        into = folder / variant
        into.mkdir(parents=True, exist_ok=True)
        model = build(variant)
        model.config.save(into, dtype="float32")
        save_file(model.state_dict(), into / "model.safetensors", metadata={"format": "pt"})
        given = inputs()
        save_file(given | outputs(model, given), into / "golden.safetensors")


def differences(expected: Path, actual: Path, variants: list[str], tolerance: float) -> list[str]:
    """One line for each difference between the two folders; numbers may differ by up to `tolerance`."""
    found = []
    for variant in variants:
        if (expected / variant / "config.json").read_text() != (actual / variant / "config.json").read_text():
            found.append(f"{variant}/config.json differs")
        for file in ("model.safetensors", "golden.safetensors"):
            old, new = load_file(expected / variant / file), load_file(actual / variant / file)
            if old.keys() != new.keys():
                found.append(f"{variant}/{file}: tensors {sorted(old.keys() ^ new.keys())} are in one only")
            for name in old.keys() & new.keys():
                if old[name].shape != new[name].shape or old[name].dtype != new[name].dtype:
                    found.append(f"{variant}/{file}: {name} has another shape or type")
                    continue
                # `not <=` instead of `>`, so that NaN counts as a difference.
                error = (old[name].double() - new[name].double()).abs().max().item()
                if not error <= tolerance:
                    found.append(f"{variant}/{file}: {name} differs by {error:.1e}, allowed {tolerance:.0e}")
    return found


def write_or_check(write: Callable[[Path], None], check: Callable[[Path], list[str]]) -> None:
    """The command line for golden data with its own comparison. `check` returns one line for each difference."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--check", type=Path)
    options = parser.parse_args()
    if options.out:
        write(options.out)
    if options.check and (wrong := check(options.check)):
        sys.exit("\n".join(wrong))


def run(
    parser: argparse.ArgumentParser, write: Callable[[Path], None], variants: list[str], tolerance: float
) -> int:
    """The command line: writes or checks the folders of `variants`. Returns the exit status."""
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--out", type=Path, metavar="DIR", help="write the golden data here")
    action.add_argument("--check", type=Path, metavar="DIR", help="compare the golden data here with a fresh copy")
    arguments = parser.parse_args()
    if arguments.out:
        write(arguments.out)
        return 0
    with tempfile.TemporaryDirectory() as fresh:
        write(Path(fresh))
        found = differences(arguments.check, Path(fresh), variants, tolerance)
    print("\n".join(found) or f"{len(variants)} variants agree within {tolerance:.0e}")
    return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    return run(parser, write, list(VARIANTS), TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
