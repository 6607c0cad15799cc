"""Shape of one model: a Hugging Face T5 config plus our `altup` object."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AltUpConfig:
    """How the representation is widened (paper: arXiv 2301.13310, section 3)."""

    num_blocks: int = 2
    selection: str = "alternating"
    recycled: bool = False

    def __post_init__(self):
        if self.num_blocks < 1:
            raise ValueError(f"num_blocks must be at least 1, got {self.num_blocks}")
        if self.selection not in ("alternating", "same"):
            raise ValueError(f"selection must be 'alternating' or 'same', got {self.selection!r}")

    def active_block(self, layer: int) -> int:
        """The block j* that layer `layer` (zero-based within its stack) computes."""
        return layer % self.num_blocks if self.selection == "alternating" else 0


@dataclass(frozen=True)
class T5Config:
    """T5 v1.1. `altup` is None for the dense baseline."""

    vocab_size: int
    d_model: int
    num_heads: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_decoder_layers: int
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6
    altup: AltUpConfig | None = None

    @property
    def num_blocks(self) -> int:
        return self.altup.num_blocks if self.altup else 1

    @property
    def is_recycled(self) -> bool:
        return self.altup is not None and self.altup.recycled

    @property
    def table_width(self) -> int:
        """Width of the embedding table, the decoder's last norm and lm_head: d, or K*d for plain AltUp."""
        return self.d_model if self.is_recycled else self.num_blocks * self.d_model

    def to_hugging_face(self) -> dict:
        config = {
            "architectures": ["T5ForConditionalGeneration"],
            "model_type": "t5",
            "is_encoder_decoder": True,
            "vocab_size": self.vocab_size,
            "d_model": self.d_model,
            "num_heads": self.num_heads,
            "d_kv": self.d_kv,
            "d_ff": self.d_ff,
            "num_layers": self.num_layers,
            "num_decoder_layers": self.num_decoder_layers,
            "relative_attention_num_buckets": self.relative_attention_num_buckets,
            "relative_attention_max_distance": self.relative_attention_max_distance,
            "feed_forward_proj": "gated-gelu",
            "dense_act_fn": "gelu_new",
            "is_gated_act": True,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "dropout_rate": 0.0,
            "tie_word_embeddings": False,
            "n_positions": 512,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "decoder_start_token_id": 0,
            "initializer_factor": 1.0,
            "use_cache": True,
        }
        if self.altup:
            config["altup"] = {
                "num_blocks": self.altup.num_blocks,
                "selection": self.altup.selection,
                "recycled": self.altup.recycled,
            }
        return config

    @classmethod
    def from_hugging_face(cls, config: dict) -> "T5Config":
        for name, expected in (("model_type", "t5"), ("feed_forward_proj", "gated-gelu"), ("tie_word_embeddings", False)):
            if config.get(name) != expected:
                raise ValueError(f"config.json: {name} must be {expected!r}, got {config.get(name)!r}")
        shape = {name: config[name] for name in cls.__dataclass_fields__ if name != "altup"}
        return cls(**shape, altup=AltUpConfig(**config["altup"]) if "altup" in config else None)

    def save(self, folder: Path, dtype: str) -> None:
        text = json.dumps(self.to_hugging_face() | {"torch_dtype": dtype}, indent=2)
        (folder / "config.json").write_text(text + "\n")

    @classmethod
    def load(cls, folder: Path) -> "T5Config":
        return cls.from_hugging_face(json.loads((folder / "config.json").read_text()))
