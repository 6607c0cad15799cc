"""Trains one of the shipped variants on one core.

    python -m training.train --variant altup-k2

Every variant gets the same batches in the same order, the same seed and the same schedule. A run
saves its state every few minutes under training/.cache/runs and resumes from it when restarted.
At the end it writes the float16 checkpoint, measures the held-out loss of exactly that checkpoint,
and stores the figures in models/<id>/training.json.
"""

import argparse
import json
import math
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from training import corpus, data, tokenizer, variants
from training.initialise import initialise
from training.t5 import T5

RUNS = corpus.CACHE / "runs"


@dataclass(frozen=True)
class Settings:
    steps: int = 1600
    batch_size: int = 8  # windows of the maximum continuation; batches of shorter ones have as many tokens
    # Rate of a matrix with `base_width` inputs; a wider one gets proportionally less (see `rate_scale`).
    peak_learning_rate: float = 5e-3
    base_width: int = 128
    # Adam's step does not depend on a weight's size. The embeddings start ten times larger than the rest,
    # and the score for attending one position back must grow from zero to several nats. With one rate for
    # all weights, neither moves far enough in this few steps, and attention learns almost nothing.
    embedding_rate_scale: float = 10
    position_rate_scale: float = 20
    # Queries and keys enter the scores as a product, which moves twice as fast.
    query_key_rate_scale: float = 0.3
    final_rate_part: float = 0.02
    warmup_steps: int = 100
    weight_decay: float = 0.1
    gradient_norm: float = 1.0
    seed: int = 20231113
    evaluate_every: int = 200
    save_every: int = 125


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then a cosine down to `final_rate_part` of the peak at the last step."""
    if step < settings.warmup_steps:
        return settings.peak_learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return settings.peak_learning_rate * (settings.final_rate_part + (1 - settings.final_rate_part) * cosine)


def rate_scale(name: str, weight: torch.Tensor, settings: Settings) -> float:
    """The factor on `peak_learning_rate` for a weight.

    For matrices it is inversely proportional to the input's width, so that one rate fits narrow and wide
    variants (the rule for Adam in μP, arXiv 2203.03466, table 3).
    """
    if name == "shared.weight":
        return settings.embedding_rate_scale
    if "relative_attention_bias" in name:
        return settings.position_rate_scale
    if not is_matrix(name):
        return 1
    by_width = settings.base_width / weight.shape[-1]
    return by_width * (settings.query_key_rate_scale if name.endswith((".q.weight", ".k.weight")) else 1)


def is_matrix(name: str) -> bool:
    return not any(part in name for part in ("shared", "norm", "relative_attention_bias", "coefs"))


def make_optimizer(model: T5, settings: Settings) -> torch.optim.AdamW:
    """AdamW with weight decay only for matrices, not for embeddings, norms and AltUp's scalars."""
    groups = defaultdict(list)
    for name, weight in model.named_parameters():
        decay = settings.weight_decay if is_matrix(name) else 0.0
        groups[rate_scale(name, weight, settings), decay].append(weight)
    options = [
        {"params": weights, "rate_scale": scale, "weight_decay": decay} for (scale, decay), weights in groups.items()
    ]
    return torch.optim.AdamW(options, lr=settings.peak_learning_rate, betas=(0.9, 0.98), fused=True)


def batch_loss(model: T5, batch: data.Batch, reduction: str = "mean") -> torch.Tensor:
    logits = model(batch.input_ids, batch.lengths, batch.decoder_input_ids)
    return F.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=data.IGNORED, reduction=reduction
    )


@torch.no_grad()
def held_out_loss(model: T5, batches: list[data.Batch]) -> float:
    """The mean loss per token, in nats."""
    total = sum(batch_loss(model, batch, reduction="sum").item() for batch in batches)
    return total / sum(batch.tokens for batch in batches)


def save_checkpoint(model: T5, folder: Path) -> None:
    weights = {name: weight.half() for name, weight in model.state_dict().items()}
    overflowed = [name for name, weight in weights.items() if not weight.isfinite().all()]
    if overflowed:
        raise ValueError(f"not finite in float16: {overflowed}")
    model.config.save(folder, dtype="float16")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    # safetensors makes the file readable only by its owner, but a server runs as another user.
    (folder / "model.safetensors").chmod(0o644)


class Run:
    """The state of one training run, and the file that keeps it between processes."""

    def __init__(self, variant: str, settings: Settings):
        self.variant = variant
        self.settings = settings
        self.model = initialise(T5(variants.VARIANTS[variant]), settings.seed)
        self.optimizer = make_optimizer(self.model, settings)
        self.progress = {"step": 0, "tokens": 0, "seconds": 0.0, "evaluations": []}
        self.file = RUNS / variant / "state.pt"

    def save(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": self.progress,
        }
        unfinished = self.file.with_suffix(".tmp")
        torch.save(state, unfinished)
        unfinished.replace(self.file)

    def resume(self) -> None:
        if not self.file.exists():
            return
        state = torch.load(self.file)
        if state["settings"] != asdict(self.settings):
            raise SystemExit(f"{self.file} was made with other settings; delete it to start anew")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = state["progress"]

    def train(self, batches, quick: list[data.Batch]) -> None:
        settings, progress = self.settings, self.progress
        for _ in range(progress["step"]):
            next(batches)
        while progress["step"] < settings.steps:
            started = time.monotonic()
            batch = next(batches)
            for group in self.optimizer.param_groups:
                group["lr"] = group["rate_scale"] * learning_rate(progress["step"], settings)
            loss = batch_loss(self.model, batch)
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_norm)
            self.optimizer.step()
            progress["step"] += 1
            progress["tokens"] += batch.tokens
            progress["seconds"] += time.monotonic() - started
            if progress["step"] % settings.evaluate_every == 0:
                self.evaluate(quick, loss.item())
            if progress["step"] % settings.save_every == 0:
                self.save()

    def evaluate(self, quick: list[data.Batch], training_loss: float) -> None:
        progress = self.progress
        measured = {
            "step": progress["step"],
            "tokens": progress["tokens"],
            "training_loss": round(training_loss, 4),
            "held_out_loss": round(held_out_loss(self.model, quick), 4),
        }
        progress["evaluations"].append(measured)
        speed = progress["tokens"] / progress["seconds"]
        print(f"{self.variant} {json.dumps(measured)} {speed:.0f} tokens/s", flush=True)

    def finish(self, held_out: list[data.Batch]) -> None:
        folder = variants.folder(self.variant)
        save_checkpoint(self.model, folder)
        stored = T5.load(folder)
        altup_scalars = sum(weight.numel() for name, weight in stored.named_parameters() if name.endswith("coefs"))
        experts = sum(weight.numel() for name, weight in stored.named_parameters() if ".experts." in name)
        tables = stored.shared.weight.numel() + stored.lm_head.weight.numel()
        parameters = sum(weight.numel() for weight in stored.parameters())
        figures = {
            "variant": self.variant,
            "held_out_loss": round(held_out_loss(stored, held_out), 4),
            "held_out_tokens": sum(batch.tokens for batch in held_out),
            "parameters": {
                "total": parameters,
                "tables": tables,
                "layers": parameters - tables - experts - altup_scalars,
                "experts": experts,
                "altup_scalars": altup_scalars,
            },
            "training_tokens": self.progress["tokens"],
            "training_seconds": round(self.progress["seconds"]),
            "tokens_per_second": round(self.progress["tokens"] / self.progress["seconds"]),
            "settings": asdict(self.settings),
            "evaluations": self.progress["evaluations"],
        }
        (folder / "training.json").write_text(json.dumps(figures, indent=2) + "\n")
        print(f"{self.variant} held-out loss {figures['held_out_loss']} with the stored weights", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", required=True, choices=list(variants.VARIANTS))
    variant = parser.parse_args().variant
    # One thread, so that results do not depend on the machine's number of cores.
    torch.set_num_threads(1)
    settings = Settings()
    text, bpe = corpus.load(), tokenizer.load()
    held_out = data.encode_chapters(bpe, text.held_out)
    run = Run(variant, settings)
    run.resume()
    batches = data.training_batches(data.encode_chapters(bpe, text.train), settings.batch_size, settings.seed)
    run.train(batches, data.held_out_batches(held_out, every=8))
    run.finish(data.held_out_batches(held_out))


if __name__ == "__main__":
    main()
