"""Features of autoencoders on tokens: do those of two models fire together?"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.capabilities.streams import Autoencoders, Streams, haar_image
from polyrot.sae.model import SAE


@dataclass(frozen=True)
class Firing:
    """How the features of one autoencoder fire on tokens: standardised, dead features at 0."""

    codes: Float[Tensor, "token feature"]

    @classmethod
    def of(cls, sae: SAE, x: Float[Tensor, "token d_model"]) -> "Firing":
        codes = torch.cat([sae.encode(chunk) for chunk in x.split(8192)]).double()
        codes -= codes.mean(0)
        norms = codes.norm(dim=0)
        # A constant's norm is rounding error: the feature is dead.
        alive = norms > 1e-6 * norms.max()
        return cls(torch.where(alive, codes / norms.clamp(min=1e-300), 0.0))

    def shuffled(self, generator: torch.Generator) -> "Firing":
        """Deal the codes out to other tokens."""
        return Firing(self.codes[torch.randperm(len(self.codes), generator=generator)])

    def shared_with(self, other: "Firing", *, above: float = 0.5) -> float:
        """Return the share of features with a partner whose correlation is above a number.

        Partners are one to one, by the matching with the largest total of correlations.
        """
        r = self.codes.mT @ other.codes
        matched = r[linear_sum_assignment(r, maximize=True)]
        return float((matched > above).double().mean())


class FiringAtLateSite:
    """The features of a suite's autoencoders at its late site, on held-out tokens."""

    def __init__(self, streams: Streams, autoencoders: Autoencoders) -> None:
        """Store the suite; what is asked for twice is computed once."""
        self._streams, self._autoencoders = streams, autoencoders
        self._of = lru_cache(maxsize=2 * len(streams.seeds))(Firing.of)
        self._held_out: Bool[Tensor, " token"] = streams.held_out
        self.within = lru_cache(self._within)

    def own(self, seed: int) -> Firing:
        """Return those of a model's autoencoder, from an SAE seed that no other model has."""
        return self._of(self._sae(seed, self._autoencoders.sae_seed(seed)), self._tokens(seed))

    def untrained(self, seed: int) -> Firing:
        """Return those of a model's autoencoder, on the model before training."""
        x = self._streams.untrained_activations.at(self._streams.late_site)
        tokens = x[self._streams.index(seed)][self._held_out]
        return Firing.of(self._sae(seed, self._autoencoders.sae_seed(seed)), tokens)

    def image(self, seed: int) -> Firing:
        """Return those of an autoencoder trained anew on a Haar image of a model's activations."""
        sae = self._autoencoders.image_sae(seed, self._streams.late_site)
        return Firing.of(sae, haar_image(self._tokens(seed), seed))

    def _within(self, seed: int) -> float:
        """Return the share that two SAE seeds of one model have in common."""
        other = Firing.of(self._sae(seed, 0), self._tokens(seed))
        return self.own(seed).shared_with(other)

    def _sae(self, seed: int, sae_seed: int) -> SAE:
        return self._autoencoders.sae(seed, self._streams.late_site, sae_seed)

    def _tokens(self, seed: int) -> Float[Tensor, "token d_model"]:
        x = self._streams.activations.at(self._streams.late_site)
        return x[self._streams.index(seed)][self._held_out]
