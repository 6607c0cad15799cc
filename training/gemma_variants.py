"""The Gemma checkpoints that ship in models/: Gemma 3n and its dense sibling, with layers of the same shape.

The layers keep the proportions of Gemma 3n E2B (width 2048, 8 heads of 256 with 2 for keys and values, one layer in
five with full attention, the last third sharing keys and values) at a sixteenth of its width.
"""

from pathlib import Path

from transformers import Gemma3nTextConfig, Gemma3TextConfig

from training.variants import MODELS

SLIDING, FULL = "sliding_attention", "full_attention"
EOS_ID, PAD_ID = 1, 0
LAYERS = 10
SHAPE = {
    "vocab_size": 2048,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "layer_types": (LAYERS // 5) * (4 * [SLIDING] + [FULL]),
    "sliding_window": 64,
    "max_position_embeddings": 512,
    "initializer_range": 0.05,
    # One token ends a text and begins the next.
    "bos_token_id": EOS_ID,
    "eos_token_id": EOS_ID,
    "pad_token_id": PAD_ID,
}
VARIANTS = {
    "gemma3": Gemma3TextConfig(**SHAPE, query_pre_attn_scalar=32),
    "gemma3n": Gemma3nTextConfig(
        **SHAPE,
        vocab_size_per_layer_input=2048,
        hidden_size_per_layer_input=16,
        laurel_rank=8,
        num_kv_shared_layers=5,
        altup_num_inputs=4,
        activation_sparsity_pattern=3 * [0.95] + (LAYERS - 3) * [0.0],
    ),
}


def folder(variant: str) -> Path:
    return MODELS / f"austen-{variant}"
