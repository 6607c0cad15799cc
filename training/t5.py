"""T5 v1.1 (arXiv 1910.10683, with the v1.1 changes of arXiv 2002.05202), dense or with AltUp in width, along the
encoder's sequence, or with sparse experts.

This is a readable reference, not a fast implementation. It differs from a usual transformer:
RMSNorm precedes each sub-layer and there are no biases; attention scores are not divided by √d_kv;
positions enter only through a bias on the scores, which the first block of each stack owns and all
its blocks share; the feed-forward layer is gated, gelu(x W_0) ⊙ (x W_1); input and output tables
are separate, and the logits are not scaled.

Modules have Hugging Face's names, so `state_dict()` is the checkpoint.
"""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from training import altup, sequence
from training.config import T5Config
from training.experts import Experts


class RMSNorm(nn.Module):
    """x / √(mean(x²) + ε) · w over the last axis."""

    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


def relative_position_bucket(distance: Tensor, bidirectional: bool, num_buckets: int, max_distance: int) -> Tensor:
    """Bucket of `distance` = key position − query position (T5 paper, section 2.1).

    Half of the buckets hold one exact distance each. The other half grow logarithmically up to
    `max_distance`, and the last one holds all greater distances. A bidirectional stack uses half
    of its buckets for keys after the query; a causal stack never reads those keys.
    """
    offset = torch.zeros_like(distance)
    if bidirectional:
        num_buckets //= 2
        offset = torch.where(distance > 0, num_buckets, 0)
        back = distance.abs()
    else:
        back = (-distance).clamp(min=0)
    exact = num_buckets // 2
    # clamp(min=1) avoids log(0); such entries take the exact branch below.
    growth = torch.log(back.clamp(min=1).double() / exact) / math.log(max_distance / exact)
    logarithmic = (exact + (growth * (num_buckets - exact)).long()).clamp(max=num_buckets - 1)
    return offset + torch.where(back < exact, back, logarithmic)


class Attention(nn.Module):
    def __init__(self, config: T5Config, owns_position_bias: bool = False):
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.num_heads = config.num_heads
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if owns_position_bias:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)

    def heads(self, x: Tensor) -> Tensor:
        """[batch, seq, heads·d_kv] → [batch, heads, seq, d_kv]."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, source: Tensor, bias: Tensor) -> Tensor:
        """x [batch, seq, d], source [batch, keys, d], bias [1|batch, heads|1, seq|1, keys] → [batch, seq, d]."""
        scores = self.heads(self.q(x)) @ self.heads(self.k(source)).transpose(-1, -2) + bias
        mixed = scores.softmax(-1) @ self.heads(self.v(source))
        return self.o(mixed.transpose(1, 2).flatten(-2))


class SelfAttentionLayer(nn.Module):
    def __init__(self, config: T5Config, owns_position_bias: bool):
        super().__init__()
        self.SelfAttention = Attention(config, owns_position_bias)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        normed = self.layer_norm(x)
        return x + self.SelfAttention(normed, normed, bias)


class CrossAttentionLayer(nn.Module):
    def __init__(self, config: T5Config):
        super().__init__()
        self.EncDecAttention = Attention(config)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor, encoded: Tensor, bias: Tensor) -> Tensor:
        return x + self.EncDecAttention(self.layer_norm(x), encoded, bias)


class GatedFeedForward(nn.Module):
    def __init__(self, config: T5Config):
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class FeedForwardLayer(nn.Module):
    def __init__(self, config: T5Config):
        super().__init__()
        self.DenseReluDense = GatedFeedForward(config)
        if config.moe:
            self.experts = Experts(config.moe, config.d_model)
        self.layer_norm = RMSNorm(config.d_model, config.layer_norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.layer_norm(x)
        computed = x + self.DenseReluDense(normed)
        return computed + self.experts(normed) if hasattr(self, "experts") else computed


class Block(nn.Module):
    """One T5 block of width d, wrapped in AltUp if the config asks for it."""

    def __init__(self, config: T5Config, index: int, is_decoder: bool):
        super().__init__()
        self.layer = nn.ModuleList([SelfAttentionLayer(config, owns_position_bias=index == 0)])
        if is_decoder:
            self.layer.append(CrossAttentionLayer(config))
        self.layer.append(FeedForwardLayer(config))
        if config.altup:
            self.altup = altup.AltUp(config.num_blocks, config.altup.active_block(index))
        if not is_decoder and config.sequence and index in config.sequence.layers(config.num_layers):
            way = sequence.SequenceAltUp if config.sequence.method == "altup" else sequence.StrideAndSkip
            self.sequence = way(config.sequence.stride)

    def compute(self, x: Tensor, self_bias: Tensor, encoded: Tensor | None, cross_bias: Tensor | None) -> Tensor:
        """The T5 block itself: [batch, seq, d] → [batch, seq, d]."""
        x = self.layer[0](x, self_bias)
        if encoded is not None:
            x = self.layer[1](x, encoded, cross_bias)
        return self.layer[-1](x)

    def compute_strided(self, x: Tensor, self_bias: Tensor, *cross: Tensor | None) -> Tensor:
        """The layer L of AltUp: [batch, seq, d] → [batch, seq, d]. Computes all tokens or only every k-th."""
        if not hasattr(self, "sequence"):
            return self.compute(x, self_bias, *cross)
        stride = self.sequence.stride
        kept_bias = self_bias[..., ::stride, ::stride]
        return self.sequence(x, lambda kept: self.compute(kept, kept_bias, *cross))

    def forward(self, x: Tensor, *context: Tensor | None) -> Tensor:
        """x [K, batch, seq, d] → [K, batch, seq, d]."""
        if hasattr(self, "altup"):
            return self.altup(x, lambda active: self.compute_strided(active, *context))
        return self.compute_strided(x[0], *context).unsqueeze(0)


class Stack(nn.Module):
    """Encoder or decoder: blocks over the widened representation, which is then collapsed and normalised."""

    def __init__(self, config: T5Config, is_decoder: bool):
        super().__init__()
        self.config = config
        self.is_decoder = is_decoder
        num_layers = config.num_decoder_layers if is_decoder else config.num_layers
        self.block = nn.ModuleList([Block(config, index, is_decoder) for index in range(num_layers)])
        width = config.table_width if is_decoder else config.d_model
        self.final_layer_norm = RMSNorm(width, config.layer_norm_epsilon)

    def position_bias(self, seq: int) -> Tensor:
        """[1, heads, seq, seq]; −∞ above the diagonal in the decoder."""
        table = self.block[0].layer[0].SelfAttention.relative_attention_bias
        position = torch.arange(seq, device=table.weight.device)
        distance = position[None, :] - position[:, None]
        bucket = relative_position_bucket(
            distance,
            bidirectional=not self.is_decoder,
            num_buckets=self.config.relative_attention_num_buckets,
            max_distance=self.config.relative_attention_max_distance,
        )
        bias = table(bucket).permute(2, 0, 1)[None]
        return bias.masked_fill(distance > 0, -math.inf) if self.is_decoder else bias

    def expand(self, embedded: Tensor) -> Tensor:
        """[batch, seq, d or K·d] → [K, batch, seq, d]."""
        way_in = altup.replicate if self.config.is_recycled else altup.split
        return way_in(embedded, self.config.num_blocks)

    def collapse(self, x: Tensor) -> Tensor:
        """[K, batch, seq, d] → [batch, seq, width of the final norm]."""
        return altup.concatenate(x) if self.is_decoder and not self.config.is_recycled else x.sum(0)

    def states(self, embedded: Tensor, key_bias: Tensor, encoded: Tensor | None = None) -> list[Tensor]:
        """X before the first layer and after each: num_layers + 1 tensors [K, batch, seq, d].

        `key_bias` [batch, 1, 1, encoder seq] is −∞ at the encoder's padding. It masks
        self-attention in the encoder and cross-attention in the decoder. The decoder's own padding
        is on the right, where the causal mask already hides it.
        """
        self_bias = self.position_bias(embedded.shape[1])
        context = (self_bias, encoded, key_bias) if self.is_decoder else (self_bias + key_bias, None, None)
        states = [self.expand(embedded)]
        for block in self.block:
            states.append(block(states[-1], *context))
        return states

    def output(self, x: Tensor) -> Tensor:
        return self.final_layer_norm(self.collapse(x))


class T5(nn.Module):
    def __init__(self, config: T5Config):
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.table_width)
        self.encoder = Stack(config, is_decoder=False)
        self.decoder = Stack(config, is_decoder=True)
        self.lm_head = nn.Linear(config.table_width, config.vocab_size, bias=False)

    def key_bias(self, lengths: Tensor, seq: int) -> Tensor:
        """lengths [batch] → [batch, 1, 1, seq]: 0 at tokens, −∞ at padding."""
        is_padding = torch.arange(seq, device=lengths.device) >= lengths[:, None]
        zeros = torch.zeros(is_padding.shape, dtype=self.lm_head.weight.dtype, device=lengths.device)
        return zeros.masked_fill(is_padding, -math.inf)[:, None, None]

    def encoder_positions(self, lengths: Tensor) -> Tensor:
        """The number of encoder output positions for rows of these lengths: the same, unless the encoder pools."""
        return sequence.pooled_lengths(lengths, self.config.sequence.stride) if self.pools else lengths

    @property
    def pools(self) -> bool:
        return self.config.sequence is not None and self.config.sequence.method == "average"

    def encoder_states(self, input_ids: Tensor, lengths: Tensor) -> list[Tensor]:
        """`Stack.states` of input_ids [batch, seq], right-padded; lengths [batch]."""
        embedded = self.shared(input_ids)
        if self.pools:
            embedded = sequence.average_pool(embedded, lengths, self.config.sequence.stride)
        return self.encoder.states(embedded, self.key_bias(self.encoder_positions(lengths), embedded.shape[1]))

    def encode(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        """input_ids [batch, seq], right-padded; lengths [batch] → [batch, encoder positions, d]."""
        return self.encoder.output(self.encoder_states(input_ids, lengths)[-1])

    def decoder_states(self, decoder_input_ids: Tensor, encoded: Tensor, lengths: Tensor) -> list[Tensor]:
        key_bias = self.key_bias(self.encoder_positions(lengths), encoded.shape[1])
        return self.decoder.states(self.shared(decoder_input_ids), key_bias, encoded)

    def decode(self, decoder_input_ids: Tensor, encoded: Tensor, lengths: Tensor) -> Tensor:
        """decoder_input_ids [batch, seq], lengths [batch] of the encoder's input → logits [batch, seq, vocab]."""
        return self.lm_head(self.decoder.output(self.decoder_states(decoder_input_ids, encoded, lengths)[-1]))

    def forward(self, input_ids: Tensor, lengths: Tensor, decoder_input_ids: Tensor) -> Tensor:
        return self.decode(decoder_input_ids, self.encode(input_ids, lengths), lengths)

    @classmethod
    def load(cls, folder: Path) -> "T5":
        """The model of a checkpoint folder, in float32."""
        model = cls(T5Config.load(folder))
        model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
        return model
