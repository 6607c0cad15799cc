"""The checkpoints that ship in models/: one shape, trained on the same batches.

The shape keeps the proportions of T5 v1.1 Small (d_model 512, 6 heads of 64, d_ff 1024) at a
quarter of its width and half of its depth.
"""

from dataclasses import replace
from pathlib import Path

from training.config import AltUpConfig, MoEConfig, SequenceConfig, T5Config

MODELS = Path(__file__).parents[1] / "models"

DENSE = T5Config(
    vocab_size=2048, d_model=128, num_heads=3, d_kv=32, d_ff=256, num_layers=4, num_decoder_layers=4
)
VARIANTS = {
    "dense": DENSE,
    # The paper's Dense2X: twice the width, the same heads and d_ff.
    "dense2x": replace(DENSE, d_model=2 * DENSE.d_model),
    "altup-k2": replace(DENSE, altup=AltUpConfig(2)),
    "altup-k4": replace(DENSE, altup=AltUpConfig(4)),
    "sameup-k2": replace(DENSE, altup=AltUpConfig(2, selection="same")),
    "recycled-k2": replace(DENSE, altup=AltUpConfig(2, recycled=True)),
    # The paper's stride and layers: all encoder layers except the first and the last.
    "sequence-altup": replace(DENSE, sequence=SequenceConfig(4)),
    "stride-skip": replace(DENSE, sequence=SequenceConfig(4, "skip")),
    "average-pool": replace(DENSE, sequence=SequenceConfig(4, "average")),
    "moe": replace(DENSE, moe=MoEConfig(num_experts=8, expert_d_ff=64, top_k=1)),
    "altup-moe": replace(DENSE, altup=AltUpConfig(2), moe=MoEConfig(num_experts=8, expert_d_ff=64, top_k=1)),
}


def folder(variant: str) -> Path:
    return MODELS / f"austen-t5-{variant}"
