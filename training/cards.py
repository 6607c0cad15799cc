"""Writes models/<id>/README.md from the measured figures in models/<id>/training.json.

    python -m training.cards

It also measures two things with the stored weights. Whether a model uses its prompt at all: the
held-out loss with each continuation's own prefix, and with the prefix of another one. And how much
work each sparse expert gets.
"""

import json
from dataclasses import replace

import torch
from tokenizers import Tokenizer

from training import corpus, data, tokenizer, variants
from training.expert_use import expert_use
from training.generate import continue_text
from training.t5 import T5
from training.train import held_out_loss

PROMPT = "It is a truth universally acknowledged, that a"
WHAT = {
    "dense": "the dense baseline",
    "dense2x": "the dense baseline with twice the d_model, the same heads and d_ff",
    "altup-k2": "AltUp with 2 blocks, alternating",
    "altup-k4": "AltUp with 4 blocks, alternating",
    "sameup-k2": "AltUp with 2 blocks, always computing block 0",
    "recycled-k2": "Recycled-AltUp with 2 blocks, alternating",
    "sequence-altup": "Sequence-AltUp with stride 4 in the encoder's middle layers",
    "stride-skip": "stride-and-skip, the baseline of Sequence-AltUp, in the same layers",
    "average-pool": "average pooling of 4 tokens before the encoder's first layer, the other baseline of Sequence-AltUp",
    "moe": "8 sparse experts of 64 beside each feed-forward layer, of which one computes a token",
    "altup-moe": "AltUp with 2 blocks, alternating, and 8 sparse experts of 64, of which one computes a token",
}


def foreign_prefix(batch: data.Batch) -> data.Batch:
    """The batch with each continuation paired with its neighbour's prefix."""
    return replace(batch, input_ids=batch.input_ids.roll(1, 0), lengths=batch.lengths.roll(1, 0))


def table(figures: dict[str, dict]) -> str:
    rows = [
        "| model | parameters | of them in tables | in experts | AltUp scalars | held-out loss | own / foreign prefix | tokens/s in training |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for variant, measured in figures.items():
        parameters, prefix = measured["parameters"], measured["prefix"]
        rows.append(
            f"| austen-t5-{variant} | {parameters['total']:,} | {parameters['tables']:,}"
            f" | {parameters.get('experts', 0):,} | {parameters['altup_scalars']}"
            f" | {measured['held_out_loss']:.3f} | {prefix['own']:.3f} / {prefix['foreign']:.3f}"
            f" | {measured['tokens_per_second']:,} |"
        )
    return "\n".join(rows)


def expert_row(use: dict[str, list[float]] | None) -> str:
    """A row of the card's table, or an empty string for a model without experts."""
    if use is None:
        return ""
    busiest = [max(parts) for parts in use.values()]
    at_work = [sum(part >= 0.01 for part in parts) for parts in use.values()]
    count = f"{min(at_work)} to {max(at_work)}" if min(at_work) < max(at_work) else f"{at_work[0]}"
    return (
        f"| experts at work | {count} of {len(next(iter(use.values())))} by layer compute 1 % of the"
        f" held-out tokens or more; the busiest {min(busiest):.0%} to {max(busiest):.0%} |\n"
    )


def card(variant: str, figures: dict[str, dict]) -> str:
    measured = figures[variant]
    settings, parameters = measured["settings"], measured["parameters"]
    config = variants.VARIANTS[variant]
    folder = variants.folder(variant)
    model, bpe = T5.load(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    greedy = continue_text(model, bpe, PROMPT, max_tokens=40)
    sampled = continue_text(model, bpe, PROMPT, max_tokens=80, temperature=0.8, seed=1)
    experts = f"{parameters['experts']:,} in experts, " if parameters.get("experts") else ""
    shape = (
        f"d_model {config.d_model}, {config.num_heads} heads of {config.d_kv}, d_ff {config.d_ff}, "
        f"{config.num_layers} + {config.num_decoder_layers} layers, vocabulary {config.vocab_size}"
    )
    return f"""# austen-t5-{variant}

A small T5 v1.1 encoder-decoder that continues text in the manner of Jane Austen: {WHAT[variant]}.
It ships so that the service, its tests and its benchmarks have a real checkpoint; it is not a useful writer.

| | |
|---|---|
| shape | {shape} |
| parameters | {parameters["total"]:,}: {parameters["layers"]:,} in layers and norms, {experts}{parameters["tables"]:,} in tables, {parameters["altup_scalars"]} AltUp scalars |
{expert_row(measured.get("expert_use"))}| stored as | float16 |
| task | the encoder reads a prefix of 8 to 128 tokens, the decoder continues it for up to 128 |
| tokens learnt | {measured["training_tokens"]:,} in {settings["steps"]:,} steps of {settings["batch_size"]} windows, seed {settings["seed"]} |
| held-out loss | **{measured["held_out_loss"]:.3f}** nats per token over {measured["held_out_tokens"]:,} tokens, with the stored weights |

## All variants

Same batches in the same order, same seed, same schedule. The held-out text is the end of each novel (5 %).

{table(figures)}

How to read this:

- In width the order is the paper's: every AltUp variant is ahead of the dense model of its layer width, alternating is
  ahead of always the same block, Recycled gains without larger tables, and the dense model of twice the width is ahead
  of them. But this is one seed and one short run each, and the distances are small.
- With experts too: they add to the dense model and to AltUp, less than AltUp adds, and both together are the best model of
  that layer width.
- Along the sequence it is not: an encoder that skips or averages tokens loses nothing here, and stride-and-skip is ahead
  of Sequence-AltUp. A model that makes so little of its prompt, as the next point says, cannot tell them apart.
- **The prompt matters little.** "Own / foreign prefix" is the loss on a sample of the held-out windows, with each
  window's own prefix and with that of another. So few tokens teach the decoder to continue its own words first; what
  the encoder read shows mostly in the first of them.
- The rates were chosen on altup-k2 and dense2x, from runs of 500 steps.
- Tokens/s were taken on a machine shared with other work and are not a comparison of speed.

## Samples

Prompt: `{PROMPT}`

Greedy:

```text
{greedy}
```

Temperature 0.8, seed 1:

```text
{sampled}
```

## Text and licence

Trained on the six novels of Jane Austen, which are in the public domain, as packaged in Debian's
r-cran-janeaustenr. The weights carry the licence of this repository. Retraining: `training/README.md`.
"""


def measure(variant: str, batches: list[data.Batch]) -> dict:
    """The figures in training.json. The first call adds `prefix`, and `expert_use` if the model has experts."""
    folder = variants.folder(variant)
    file = folder / "training.json"
    measured = json.loads(file.read_text())
    if "prefix" in measured:
        return measured
    model = T5.load(folder)
    measured["prefix"] = {
        "own": round(held_out_loss(model, batches), 4),
        "foreign": round(held_out_loss(model, [foreign_prefix(batch) for batch in batches]), 4),
        "tokens": sum(batch.tokens for batch in batches),
    }
    if variants.VARIANTS[variant].moe:
        measured["expert_use"] = expert_use(model, batches)
    file.write_text(json.dumps(measured, indent=2) + "\n")
    return measured


def main() -> None:
    torch.set_num_threads(1)
    held_out = data.encode_chapters(tokenizer.load(), corpus.load().held_out)
    batches = data.held_out_batches(held_out, every=8)
    trained = [variant for variant in variants.VARIANTS if (variants.folder(variant) / "training.json").exists()]
    figures = {variant: measure(variant, batches) for variant in trained}
    for variant in trained:
        (variants.folder(variant) / "README.md").write_text(card(variant, figures))


if __name__ == "__main__":
    main()
