"""Prefix language modelling: the encoder reads a prefix and </s>, the decoder continues it.

Every variant sees the same batches in the same order: they depend only on the seed and the step.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.tokenizer import EOS_ID, PAD_ID

SHORTEST_PREFIX, LONGEST_PREFIX = 8, 128
# The maximum length; training also draws shorter continuations, which depend more on the prefix.
CONTINUATION = 128
CONTINUATIONS = (16, 32, 64, CONTINUATION)
# `F.cross_entropy` skips this label.
IGNORED = -100


@dataclass(frozen=True)
class Batch:
    input_ids: Tensor  # [batch, prefix + 1], right-padded
    lengths: Tensor  # [batch]
    decoder_input_ids: Tensor  # [batch, continuation], the labels shifted right
    labels: Tensor  # [batch, continuation], IGNORED after the chapter's end

    @property
    def tokens(self) -> int:
        """Tokens the decoder learns from."""
        return int((self.labels != IGNORED).sum())


def encode_chapters(tokenizer, texts: list[str]) -> list[np.ndarray]:
    """Token ids of each chapter; the tokenizer appends </s> to each."""
    return [np.array(encoding.ids) for encoding in tokenizer.encode_batch(texts)]


def pad(rows: list[np.ndarray], width: int, value: int) -> Tensor:
    padded = np.full((len(rows), width), value)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(padded)


Window = tuple[np.ndarray, int]  # a chapter, and the index in it where the continuation starts


def make_batch(windows: list[Window], prefix: int, continuation: int = CONTINUATION) -> Batch:
    """Up to `prefix` tokens before each start and up to `continuation` after it, never across a chapter's end."""
    prefixes = [np.append(chapter[max(0, at - prefix) : at], EOS_ID) for chapter, at in windows]
    labels = pad([chapter[at : at + continuation] for chapter, at in windows], continuation, IGNORED)
    start = torch.full((len(windows), 1), PAD_ID)  # decoder_start_token_id
    return Batch(
        input_ids=pad(prefixes, prefix + 1, PAD_ID),
        lengths=torch.tensor([len(ids) for ids in prefixes]),
        decoder_input_ids=torch.cat([start, labels[:, :-1]], dim=1).clamp(min=PAD_ID),
        labels=labels,
    )


def windows_from(chapters: list[np.ndarray], first: int, continuation: int = CONTINUATION) -> list[Window]:
    """Windows that tile each chapter from token `first` on, so that each token is learnt once."""
    return [(chapter, at) for chapter in chapters for at in range(first, len(chapter), continuation)]


def shuffled_windows(
    chapters: list[np.ndarray], continuation: int, rows: int, rng: np.random.Generator
) -> Iterator[list[Window]]:
    """Yields `rows` windows at a time, without end. Each epoch cuts the text at different places and shuffles."""
    while True:
        windows = windows_from(chapters, SHORTEST_PREFIX + int(rng.integers(continuation)), continuation)
        order = rng.permutation(len(windows))
        for start in range(0, len(order) - rows + 1, rows):
            yield [windows[index] for index in order[start : start + rows]]


def training_batches(chapters: list[np.ndarray], batch_size: int, seed: int) -> Iterator[Batch]:
    """Yields batches of `batch_size` × CONTINUATION tokens without end. Draws each batch's lengths, the prefix's
    log-uniformly."""
    rng = np.random.default_rng(seed)
    windows = {
        length: shuffled_windows(chapters, length, batch_size * CONTINUATION // length, rng) for length in CONTINUATIONS
    }
    while True:
        length = int(rng.choice(CONTINUATIONS))
        prefix = round(math.exp(rng.uniform(math.log(SHORTEST_PREFIX), math.log(LONGEST_PREFIX))))
        yield make_batch(next(windows[length]), prefix, length)


def held_out_batches(chapters: list[np.ndarray], every: int = 1, prefix: int = 64, batch_size: int = 32) -> list[Batch]:
    """The same windows for every variant: one in `every` of those that tile a chapter from token `prefix` on."""
    windows = windows_from(chapters, prefix)[::every]
    return [make_batch(windows[start : start + batch_size], prefix) for start in range(0, len(windows), batch_size)]
