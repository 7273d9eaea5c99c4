"""Run a stack of models over a token batch: residual activations and predictions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.models.training import to_tensors
from polyrot.models.transformer import Logits, Residual, StackedTransformer, canonical_site
from polyrot.tasks.dyck import PAD, LabelledSequences

BUCKET = 64
"""Number of sequences, of similar length, that run together."""


@dataclass(frozen=True)
class Activations:
    """Residual stream of every seed of a stack at the non-PAD tokens of one batch."""

    by_site: Mapping[str, Float[Tensor, "seed token d_model"]]
    sequence: Int[Tensor, " token"]
    """The sequence of each token; splits keep sequences whole."""

    def at(self, site: str) -> Float[Tensor, "seed token d_model"]:
        """Activations at a site, by any of its names."""
        name = canonical_site(site)
        if name not in self.by_site:
            raise KeyError(f"Expected site to be one of {sorted(self.by_site)} but got {site!r}")
        return self.by_site[name]


def harvest(
    model: StackedTransformer, batch: LabelledSequences, sites: tuple[str, ...] | None = None
) -> Activations:
    """Collect activations at `sites` (all distinct ones by default), as float32 on the CPU."""
    names = [canonical_site(site) for site in sites or model.config.sites()]
    unknown = sorted(set(names) - set(model.config.sites()))
    if unknown:
        raise ValueError(f"Expected sites among {model.config.sites()} but got {unknown}")
    parts: dict[str, list[Tensor]] = {name: [] for name in names}
    sequence: list[Tensor] = []
    first = 0
    for real, _, residual in _run(model, batch):
        ids = torch.arange(first, first + len(real))[:, None].expand(real.shape)
        first += len(real)
        sequence.append(ids[real])
        for name in names:
            parts[name].append(residual[name].cpu()[:, real])
    return Activations(
        {name: torch.cat(chunks, dim=1) for name, chunks in parts.items()}, torch.cat(sequence)
    )


def predict(
    model: StackedTransformer, batch: LabelledSequences
) -> dict[str, Float[Tensor, "seed token label"]]:
    """Collect the logits of every head at the non-PAD tokens of a batch."""
    parts: dict[str, list[Tensor]] = {}
    for real, logits, _ in _run(model, batch):
        for head, values in logits.items():
            parts.setdefault(head, []).append(values.cpu()[:, real])
    return {head: torch.cat(chunks, dim=1) for head, chunks in parts.items()}


def real_labels(batch: LabelledSequences) -> dict[str, Int[Tensor, " token"]]:
    """The labels of every head at the non-PAD tokens, in the order of `predict`."""
    parts: dict[str, list[Tensor]] = {}
    for group in groups(batch):
        real = torch.from_numpy(group.tokens != PAD)
        for head, labels in group.labels.items():
            parts.setdefault(head, []).append(torch.from_numpy(labels)[real])
    return {head: torch.cat(chunks) for head, chunks in parts.items()}


def groups(batch: LabelledSequences) -> Iterator[LabelledSequences]:
    """Split a batch into groups of similar length, which set the order of collected tokens."""
    return batch.by_length(max(1, len(batch) // BUCKET))


def _run(
    model: StackedTransformer, batch: LabelledSequences
) -> Iterator[tuple[Tensor, dict[str, Logits], dict[str, Residual]]]:
    """Yield the non-PAD mask (CPU), logits and residual stream of groups of similar length."""
    device = model.W_pos.device
    for group in groups(batch):
        tokens, _ = to_tensors([group] * model.seeds, device)
        with torch.inference_mode():
            logits, residual = model(tokens)
        yield tokens[0].cpu() != PAD, logits, residual
