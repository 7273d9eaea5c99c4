"""Models of a Markov chain at the site of their core: what the claims about chains measure."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from polyrot.cores.extraction import Core, extract
from polyrot.cores.gramians import affine
from polyrot.models.encoder import StackedEncoder
from polyrot.suites.capability import Capability
from polyrot.suites.suite import Suite
from polyrot.tasks.markov import Chain

ENERGY = 0.999
"""The paper's for this task."""
SAMPLES = 128
"""States at which the paper takes Jacobians; the unembedding's is the same at all."""

SEQUENCES = 12_288
"""So many that chance alone moves the fitted eigenvalues by a third of a percent, not by one."""
SEQUENCES_SEED = 1_999
FIT_SHARE = 0.75
FEWER_SEQUENCES = 2_048
"""Enough for the ranks of other chains."""
BATCH = 64


Edit = Callable[[Float[Tensor, "*batch d_model"]], Float[Tensor, "*batch d_model"]]
"""An intervention on the states of a site."""


@dataclass(frozen=True, eq=False)
class ChainModels:
    """Seeds that predict one chain, on the same sequences."""

    chain: Chain
    targets: Int[Tensor, "sequence position"]
    """The state that follows each position."""
    activations: Float[Tensor, "seed sequence position d_model"]
    """At the core's site, the input of the unembedding."""
    weight: Float[Tensor, "seed state d_model"]
    bias: Float[Tensor, "seed state"]

    @classmethod
    def of(
        cls, chain: Chain, models: StackedEncoder, *, sequences: int = SEQUENCES
    ) -> "ChainModels":
        """Run models on sequences of the chain that none was trained on."""
        states = chain.sample(sequences, seed=SEQUENCES_SEED)
        site = models.config.sites()[-1]
        device = models.weight("lm_head.bias").device
        parts = []
        for batch in states[:, :-1].split(BATCH):
            with torch.inference_mode():
                _, residual = models(batch.expand(models.seeds, -1, -1).to(device))
            parts.append(residual[site].cpu())
        return cls(
            chain,
            states[:, 1:],
            torch.cat(parts, dim=1),
            models.weight("lm_head.weight").detach().cpu(),
            models.weight("lm_head.bias").detach().cpu(),
        )

    @cached_property
    def without_common_shift(self) -> "ChainModels":
        """The same, read by an unembedding that shifts no two logits alike.

        What is added to all logits alters no prediction, and balanced truncation counts it.
        """
        return replace(self, weight=self.weight - self.weight.mean(1, keepdim=True))

    @property
    def rank(self) -> int:
        """Of the core as published: one less than there are states."""
        return self.chain.states - 1

    @property
    def d_model(self) -> int:
        return self.activations.shape[-1]

    @cached_property
    def held_out(self) -> Bool[Tensor, " sequence"]:
        """Sequences that no fit sees: the last quarter of what was drawn at random."""
        return torch.arange(len(self.targets)) >= round(FIT_SHARE * len(self.targets))

    @cached_property
    def cores(self) -> list[Core]:
        """Of every seed, from the sequences that are not held out."""
        fitted = self.activations[:, ~self.held_out].flatten(1, 2)
        return [
            extract(x, affine(weight, bias), energy=ENERGY, samples=SAMPLES)
            for x, weight, bias in zip(fitted, self.weight, self.bias, strict=True)
        ]

    def accuracy(self, index: int, edit: Edit = lambda x: x) -> float:
        """Accuracy of a seed on held-out sequences, its states edited before they are read."""
        x = edit(self.activations[index, self.held_out].double())
        logits = x @ self.weight[index].double().mT + self.bias[index].double()
        right = logits.argmax(-1) == self.targets[self.held_out]
        return float(right.double().mean())


class Chains(Suite, Capability):
    """Seeds that predict a Markov chain, before training too, and others of other chains."""

    what = "models of a Markov chain"

    @property
    @abstractmethod
    def chain(self) -> ChainModels:
        """The seeds at the site of their core."""

    @property
    @abstractmethod
    def untrained_chain(self) -> ChainModels:
        """The same before training."""

    @abstractmethod
    def other_chain(self, name: str) -> ChainModels:
        """Equally many seeds of another chain: see `polyrot.models.encoder_cohorts.CHAINS`."""
