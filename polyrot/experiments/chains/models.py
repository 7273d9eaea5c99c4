"""Models of a Markov chain at the site of their core, as measured by claims about chains."""

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
"""States at which the paper takes Jacobians; the unembedding's is the same at every state."""

SEQUENCES = 12_288
"""With this many, sampling error moves the fitted eigenvalues by 0.3%, not by 1%."""
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
    """Activations at the core's site, the input of the unembedding."""
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
        """Return the same models with the common shift of all logits removed.

        A shift of all logits alters no prediction, yet balanced truncation counts it.
        """
        return replace(self, weight=self.weight - self.weight.mean(1, keepdim=True))

    @property
    def rank(self) -> int:
        """The published rank of the core: one less than the number of states."""
        return self.chain.states - 1

    @property
    def d_model(self) -> int:
        return self.activations.shape[-1]

    @cached_property
    def held_out(self) -> Bool[Tensor, " sequence"]:
        """The held-out sequences: the last quarter, as all were drawn at random."""
        return torch.arange(len(self.targets)) >= round(FIT_SHARE * len(self.targets))

    @cached_property
    def cores(self) -> list[Core]:
        """The core of every seed, from the sequences that are not held out."""
        fitted = self.activations[:, ~self.held_out].flatten(1, 2)
        return [
            extract(x, affine(weight, bias), energy=ENERGY, samples=SAMPLES)
            for x, weight, bias in zip(fitted, self.weight, self.bias, strict=True)
        ]

    def accuracy(self, index: int, edit: Edit = lambda x: x) -> float:
        """Return a seed's accuracy on held-out sequences, with its states edited first."""
        x = edit(self.activations[index, self.held_out].double())
        logits = x @ self.weight[index].double().mT + self.bias[index].double()
        right = logits.argmax(-1) == self.targets[self.held_out]
        return float(right.double().mean())


class Chains(Suite, Capability):
    """Seeds that predict a Markov chain, also before training, and seeds of other chains."""

    what = "models of a Markov chain"

    @property
    @abstractmethod
    def models(self) -> ChainModels:
        """The seeds at the site of their core."""

    @property
    @abstractmethod
    def untrained_models(self) -> ChainModels:
        """The same seeds before training."""

    @abstractmethod
    def models_of(self, name: str) -> ChainModels:
        """Return the same number of seeds of another of `polyrot.models.encoder_cohorts.CHAINS`."""
