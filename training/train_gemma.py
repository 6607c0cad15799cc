"""Trains one of the shipped Gemma variants on one core, with `transformers`' own modules.

    python -m training.train_gemma --variant gemma3n

The text, the tokenizer's vocabulary and the number of tokens learnt are those of the T5 variants. A run saves its state
every few minutes under training/.cache/runs and resumes from it when restarted. At the end it writes the float16
checkpoint with tokenizer and chat template, measures the held-out loss of exactly that checkpoint, and stores the
figures in models/<id>/training.json.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, processors
from torch import Tensor, nn
from transformers import Gemma3ForCausalLM, Gemma3nForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from training import corpus, data, gemma_data, gemma_variants, tokenizer
from training.train import RUNS, Run, held_out_loss

CLASSES = {"gemma3": Gemma3ForCausalLM, "gemma3n": Gemma3nForCausalLM}
# The models know no roles: the messages become the text so far, and the answer is its next paragraph.
CHAT_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message.content }}\n\n{% endfor %}"


@dataclass(frozen=True)
class Settings:
    steps: int = 1600
    batch_size: int = 4
    peak_learning_rate: float = 4e-3
    final_rate_part: float = 0.02
    warmup_steps: int = 100
    weight_decay: float = 0.1
    gradient_norm: float = 1.0
    seed: int = 20231113
    evaluate_every: int = 200
    save_every: int = 100


def initialise(variant: str, seed: int) -> PreTrainedModel:
    """A model with the initial weights of `transformers`, except AltUp's: blocks hardly mix, and the scale is one.

    With the library's scale of zero, norms would divide by almost zero in the first steps. The values used here are
    those of Google DeepMind's implementation.
    """
    torch.manual_seed(seed)
    model = CLASSES[variant](gemma_variants.VARIANTS[variant])
    deviations = {"altup.prediction_coefs.weight": 1e-4, "altup.correction_coefs.weight": 1e-2}
    for name, weight in model.named_parameters():
        if name.endswith("correct_output_scale"):
            nn.init.ones_(weight)
        for ending, deviation in deviations.items():
            if name.endswith(ending):
                nn.init.normal_(weight, std=deviation)
    return model


def make_optimizer(model: PreTrainedModel, settings: Settings) -> torch.optim.AdamW:
    """AdamW with weight decay only for the layers' matrices."""
    matrices, others = [], []
    for name, weight in model.named_parameters():
        is_matrix = weight.ndim == 2 and "embed_tokens" not in name and ".altup." not in name
        (matrices if is_matrix else others).append(weight)
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay, "rate_scale": 1},
        {"params": others, "weight_decay": 0.0, "rate_scale": 1},
    ]
    return torch.optim.AdamW(groups, lr=settings.peak_learning_rate, betas=(0.9, 0.98), fused=True)


class LanguageModel(nn.Module):
    """A decoder-only model with the interface of `training.t5.T5`, so that one training loop serves both."""

    def __init__(self, decoder: PreTrainedModel):
        super().__init__()
        self.decoder = decoder

    def forward(self, _input_ids: Tensor, _lengths: Tensor, decoder_input_ids: Tensor) -> Tensor:
        return self.decoder(decoder_input_ids, use_cache=False).logits


def save_tokenizer(folder: Path) -> None:
    """Saves the T5 variants' vocabulary; a text begins with </s> instead of ending with it."""
    bpe: Tokenizer = tokenizer.load()
    special = [(tokenizer.EOS, tokenizer.EOS_ID)]
    bpe.post_processor = processors.TemplateProcessing(single=f"{tokenizer.EOS} $A", special_tokens=special)
    whole = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=tokenizer.EOS,
        eos_token=tokenizer.EOS,
        pad_token=tokenizer.PAD,
        unk_token=tokenizer.UNK,
        model_max_length=512,
    )
    whole.chat_template = CHAT_TEMPLATE
    whole.save_pretrained(folder)


def save_checkpoint(model: PreTrainedModel, folder: Path) -> None:
    overflowed = [name for name, weight in model.named_parameters() if not weight.half().isfinite().all()]
    if overflowed:
        raise ValueError(f"not finite in float16: {overflowed}")
    model.half().save_pretrained(folder)
    save_tokenizer(folder)
    # safetensors makes the file readable only by its owner, but a server runs as another user.
    (folder / "model.safetensors").chmod(0o644)


class GemmaRun(Run):
    """The state of one training run, and the file that keeps it between processes."""

    def __init__(self, variant: str, settings: Settings):
        decoder = initialise(variant, settings.seed)
        self.variant = variant
        self.settings = settings
        self.model = LanguageModel(decoder)
        self.optimizer = make_optimizer(decoder, settings)
        self.progress = {"step": 0, "tokens": 0, "seconds": 0.0, "evaluations": []}
        self.file = RUNS / variant / "state.pt"

    def finish(self, held_out: list[data.Batch]) -> None:
        folder = gemma_variants.folder(self.variant)
        save_checkpoint(self.model.decoder, folder)
        stored = CLASSES[self.variant].from_pretrained(folder, dtype=torch.float32)
        parameters = {name: weight.numel() for name, weight in stored.named_parameters()}
        tables = sum(count for name, count in parameters.items() if "embed_tokens" in name)
        altup = sum(count for name, count in parameters.items() if "altup" in name)
        total = sum(parameters.values())
        figures = {
            "variant": self.variant,
            "held_out_loss": round(held_out_loss(LanguageModel(stored), held_out), 4),
            "held_out_tokens": sum(batch.tokens for batch in held_out),
            "parameters": {"total": total, "tables": tables, "layers": total - tables - altup, "altup": altup},
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
    parser.add_argument("--variant", required=True, choices=list(gemma_variants.VARIANTS))
    variant = parser.parse_args().variant
    # One thread, so that results do not depend on the machine's number of cores.
    torch.set_num_threads(1)
    settings = Settings()
    text, bpe = corpus.load(), tokenizer.load()
    held_out = gemma_data.stream(data.encode_chapters(bpe, text.held_out))
    run = GemmaRun(variant, settings)
    run.resume()
    learnt = gemma_data.stream(data.encode_chapters(bpe, text.train))
    run.train(
        gemma_data.training_batches(learnt, settings.batch_size, settings.seed),
        gemma_data.held_out_batches(held_out, every=8),
    )
    run.finish(gemma_data.held_out_batches(held_out))


if __name__ == "__main__":
    main()
