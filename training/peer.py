"""Times `transformers`' own generation, job by job, for `npm run bench -- peers`.

    python -m training.peer models/austen-gemma3n --threads 2

Reads one job per line, {"batch": rows, "prompt": [token, …], "tokens": count}, and answers each with
{"firstMs": …, "stepMs": …}: the time from the prompts to their first tokens, and the time for each later step, one
token for each row. Decoding is greedy, in float32, with the library's cache and its default attention.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel


FLOATS = ("final_logit_softcapping", "altup_coef_clip", "activation_sparsity_pattern")


def load(folder: Path) -> PreTrainedModel:
    """The model in float32. JSON not written by Python has 30 instead of 30.0, which the config classes refuse."""
    fields = json.loads((folder / "config.json").read_text())
    for name in FLOATS:
        value = fields.get(name)
        if value is not None:
            fields[name] = [float(each) for each in value] if isinstance(value, list) else float(value)
    config = AutoConfig.for_model(**fields)
    return AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32).eval()


@torch.inference_mode()
def seconds(model: PreTrainedModel, batch: int, prompt: list[int], tokens: int) -> float:
    """Seconds for `tokens` greedy tokens for each of `batch` equal prompts; an end token does not stop decoding."""
    ids = torch.tensor([prompt] * batch)
    started = time.perf_counter()
    model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        pad_token_id=0,
    )
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = load(given.checkpoint)
    for line in sys.stdin:
        job = json.loads(line)
        first = seconds(model, job["batch"], job["prompt"], 1)
        whole = seconds(model, job["batch"], job["prompt"], job["tokens"])
        step = (whole - first) / (job["tokens"] - 1)
        print(json.dumps({"firstMs": 1000 * first, "stepMs": 1000 * step}), flush=True)


if __name__ == "__main__":
    main()
