"""Shape of one model: a Hugging Face T5 config plus our `altup` and `moe` objects."""

import json
from dataclasses import asdict, dataclass
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
class SequenceConfig:
    """How the encoder computes fewer tokens (paper: Algorithm 2 and its baselines): `altup.sequence` in config.json."""

    stride: int = 4
    method: str = "altup"
    # Zero-based and inclusive; negative values count from the end. The paper's choice: all but the first and the last.
    first_layer: int = 1
    last_layer: int = -2

    def __post_init__(self):
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1, got {self.stride}")
        if self.method not in ("altup", "skip", "average"):
            raise ValueError(f"method must be 'altup', 'skip' or 'average', got {self.method!r}")

    def layers(self, num_layers: int) -> range:
        """The encoder layers that compute only every `stride`-th token; empty when tokens are averaged."""
        if self.method == "average":
            return range(0)
        first, last = (layer + num_layers if layer < 0 else layer for layer in (self.first_layer, self.last_layer))
        if not 0 <= first <= last < num_layers:
            raise ValueError(f"layers {self.first_layer} to {self.last_layer} are not a range of {num_layers} layers")
        return range(first, last + 1)

    def to_hugging_face(self) -> dict:
        shape = {"stride": self.stride, "method": self.method}
        if self.method == "average":
            return shape
        return shape | {"first_layer": self.first_layer, "last_layer": self.last_layer}


@dataclass(frozen=True)
class MoEConfig:
    """Sparse experts next to each feed-forward layer: the object `moe` in config.json."""

    num_experts: int = 8
    expert_d_ff: int = 64
    top_k: int = 1

    def __post_init__(self):
        if not 1 <= self.top_k <= self.num_experts:
            raise ValueError(f"top_k must be 1 to num_experts = {self.num_experts}, got {self.top_k}")


@dataclass(frozen=True)
class T5Config:
    """T5 v1.1. Without `altup`, `sequence` and `moe` it is the dense baseline."""

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
    sequence: SequenceConfig | None = None
    moe: MoEConfig | None = None

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
        altup = asdict(self.altup) if self.altup else {}
        if self.sequence:
            altup["sequence"] = self.sequence.to_hugging_face()
        if altup:
            config["altup"] = altup
        if self.moe:
            config["moe"] = asdict(self.moe)
        return config

    @classmethod
    def from_hugging_face(cls, config: dict) -> "T5Config":
        for name, expected in (("model_type", "t5"), ("feed_forward_proj", "gated-gelu"), ("tie_word_embeddings", False)):
            if config.get(name) != expected:
                raise ValueError(f"config.json: {name} must be {expected!r}, got {config.get(name)!r}")
        ours = ("altup", "sequence", "moe")
        shape = {name: config[name] for name in cls.__dataclass_fields__ if name not in ours}
        altup = dict(config.get("altup", {}))
        sequence = altup.pop("sequence", None)
        return cls(
            **shape,
            # Without `num_blocks` the representation is not widened.
            altup=AltUpConfig(**altup) if "num_blocks" in altup else None,
            sequence=SequenceConfig(**sequence) if sequence else None,
            moe=MoEConfig(**config["moe"]) if "moe" in config else None,
        )

    def save(self, folder: Path, dtype: str) -> None:
        text = json.dumps(self.to_hugging_face() | {"torch_dtype": dtype}, indent=2)
        (folder / "config.json").write_text(text + "\n")

    @classmethod
    def load(cls, folder: Path) -> "T5Config":
        return cls.from_hugging_face(json.loads((folder / "config.json").read_text()))
