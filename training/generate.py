"""Continues a text with a stored checkpoint.

    python -m training.generate models/austen-t5-dense "It is a truth universally acknowledged, that"

The whole decoder runs again for each token: slow, but fast enough for a model card.
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer

from training.t5 import T5
from training.tokenizer import EOS_ID, PAD_ID


@torch.no_grad()
def continue_text(
    model: T5, tokenizer: Tokenizer, prompt: str, max_tokens: int, temperature: float = 0.0, seed: int = 0
) -> str:
    """The continuation of `prompt`: greedy at temperature 0, otherwise sampled from the softmax with `seed`."""
    stream = torch.Generator().manual_seed(seed)
    input_ids = torch.tensor([tokenizer.encode(prompt).ids])
    lengths = torch.tensor([input_ids.shape[1]])
    encoded = model.encode(input_ids, lengths)
    made = [PAD_ID]  # decoder_start_token_id
    for _ in range(max_tokens):
        logits = model.decode(torch.tensor([made]), encoded, lengths)[0, -1]
        if temperature == 0:
            token = int(logits.argmax())
        else:
            token = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=stream))
        if token == EOS_ID:
            break
        made.append(token)
    return tokenizer.decode(made[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("prompt")
    parser.add_argument("--max-tokens", type=int, default=100)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(given.folder / "tokenizer.json"))
    print(continue_text(T5.load(given.folder), tokenizer, given.prompt, given.max_tokens, given.temperature, given.seed))


if __name__ == "__main__":
    main()
