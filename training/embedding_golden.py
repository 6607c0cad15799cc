"""Golden embeddings: means of the encoder's final states, for texts and the shipped T5 models.

    python -m training.embedding_golden --out test/golden/embeddings.json      write it
    python -m training.embedding_golden --check test/golden/embeddings.json    make it again and compare

The file holds, by model, the texts with their tokens (the tokenizer adds `</s>`) and the mean over all of them. The
dense model is computed by `transformers`, the others by the reference model of this folder; all in float64.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import T5EncoderModel

from training.golden import write_or_check
from training.t5 import T5

MODELS = Path(__file__).parent.parent / "models"
BY_TRANSFORMERS = ["austen-t5-dense"]
# The last one has one state for four tokens.
BY_REFERENCE = ["austen-t5-altup-k2", "austen-t5-recycled-k2", "austen-t5-average-pool"]
TEXTS = [
    "Emma",
    "It is a truth universally acknowledged",
    "She was not long in the drawing-room before he came, and spoke of the weather and the roads as if nothing had "
    "passed.",
    "Élizabeth — 😀",
]
# Numbers are written with six decimals.
TOLERANCE = 2e-6


def encoder(name: str) -> Callable[[list[int]], Tensor]:
    """A function from tokens to the encoder's final states [positions, d]."""
    if name in BY_TRANSFORMERS:
        hugging_face = T5EncoderModel.from_pretrained(MODELS / name, dtype=torch.float64).eval()
        return lambda tokens: hugging_face(input_ids=torch.tensor([tokens])).last_hidden_state[0]
    model = T5.load(MODELS / name).double()
    return lambda tokens: model.encode(torch.tensor([tokens]), torch.tensor([len(tokens)]))[0]


@torch.no_grad()
def embeddings() -> dict[str, list[dict]]:
    made = {}
    for name in BY_TRANSFORMERS + BY_REFERENCE:
        tokenizer, states = Tokenizer.from_file(str(MODELS / name / "tokenizer.json")), encoder(name)
        made[name] = []
        for text in TEXTS:
            tokens = tokenizer.encode(text).ids
            mean = [round(value, 6) for value in states(tokens).mean(0).tolist()]
            made[name].append({"text": text, "tokens": tokens, "embedding": mean})
    return made


def write(file: Path) -> None:
    file.write_text(json.dumps(embeddings(), ensure_ascii=False) + "\n")


def check(file: Path) -> list[str]:
    kept, made = json.loads(file.read_text()), embeddings()
    if kept.keys() != made.keys():
        return ["other models"]
    wrong = []
    for name, texts in made.items():
        for old, new in zip(kept[name], texts, strict=True):
            differences = [abs(a - b) for a, b in zip(old.pop("embedding"), new.pop("embedding"), strict=True)]
            # `not <=` instead of `>`, so that NaN counts as a difference.
            if old != new or not max(differences) <= TOLERANCE:
                wrong.append(f"{name}: {new['text']}")
    return wrong


if __name__ == "__main__":
    write_or_check(write, check)
