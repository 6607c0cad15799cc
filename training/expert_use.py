"""How a trained model's routers distribute tokens over its sparse experts."""

import torch

from training import data
from training.experts import Experts
from training.t5 import T5


@torch.no_grad()
def expert_use(model: T5, batches: list[data.Batch]) -> dict[str, list[float]]:
    """For each layer, the fraction of tokens that each expert computes; with k experts per token they sum to k."""
    counts: dict[str, torch.Tensor] = {}
    tokens: dict[str, int] = {}

    def count(name: str):
        def hook(experts: Experts, given: tuple[torch.Tensor]) -> None:
            chosen = experts.choose(given[0].flatten(0, -2))[1]
            found = torch.bincount(chosen.flatten(), minlength=len(experts.wi))
            counts[name] = counts.get(name, 0) + found
            tokens[name] = tokens.get(name, 0) + len(chosen)

        return hook

    hooks = [
        module.register_forward_pre_hook(count(name)) for name, module in model.named_modules() if isinstance(module, Experts)
    ]
    for batch in batches:
        model(batch.input_ids, batch.lengths, batch.decoder_input_ids)
    for hook in hooks:
        hook.remove()
    return {name: [round(part, 4) for part in (found / tokens[name]).tolist()] for name, found in counts.items()}
