"""Language modelling on windows of one long text: all chapters in order, with </s> between them."""

from collections.abc import Iterator

import numpy as np
import torch
from training.data import Batch
from training.gemma_variants import EOS_ID

WINDOW = 256


def stream(chapters: list[np.ndarray]) -> np.ndarray:
    """One text: </s>, then the chapters as `data.encode_chapters` returns them, each ending with </s>."""
    return np.concatenate([[EOS_ID], *chapters])


def windows(text: np.ndarray, first: int = 0) -> np.ndarray:
    """[windows, WINDOW + 1]: inputs, and the labels shifted by one. Each token from `first` + 1 on is learnt once."""
    count = (len(text) - first - 1) // WINDOW
    starts = first + WINDOW * np.arange(count)
    return text[starts[:, None] + np.arange(WINDOW + 1)]


def make_batch(cut: np.ndarray) -> Batch:
    """A batch of windows [rows, WINDOW + 1] for a decoder-only model: the encoder's input is empty."""
    tokens = torch.from_numpy(cut)
    nothing = torch.empty(len(cut), 0, dtype=torch.long)
    return Batch(
        input_ids=nothing,
        lengths=torch.zeros(len(cut), dtype=torch.long),
        decoder_input_ids=tokens[:, :-1],
        labels=tokens[:, 1:],
    )


def training_batches(text: np.ndarray, batch_size: int, seed: int) -> Iterator[Batch]:
    """Yields batches without end. Each epoch cuts the text at different places and shuffles."""
    rng = np.random.default_rng(seed)
    while True:
        cut = windows(text, int(rng.integers(WINDOW)))
        order = rng.permutation(len(cut))
        for start in range(0, len(order) - batch_size + 1, batch_size):
            yield make_batch(cut[order[start : start + batch_size]])


def held_out_batches(text: np.ndarray, every: int = 1, batch_size: int = 16) -> list[Batch]:
    """The same windows for every variant, one in `every`."""
    cut = windows(text)[::every]
    return [make_batch(cut[start : start + batch_size]) for start in range(0, len(cut), batch_size)]
