"""Decoders of autoencoders at one site: those of the seeds, and others to compare them with."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities.autoencoder_training import NOISE
from polyrot.capabilities.streams import Autoencoders, ControlAutoencoders
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import initial_weights

Decoder = Float[Tensor, "feature d_model"]


@dataclass(frozen=True)
class Decoders:
    """Every decoder that a seed can be compared by at one site."""

    autoencoders: Autoencoders
    site: str
    sae_seed: Callable[[int], int]
    """The SAE seed of each model's autoencoder."""

    def trained(self, seed: int) -> Decoder:
        """Return the decoder of a model's autoencoder."""
        return self.autoencoders.sae(seed, self.site, self.sae_seed(seed)).W_dec

    def initial(self, seed: int) -> Decoder:
        """Return the decoder before training: it depends on its size and the SAE seed alone."""
        features, d_model = self.trained(seed).shape
        config = SAEConfig(expansion=features // d_model, seed=self.sae_seed(seed))
        return initial_weights(config, d_model)["W_dec"]

    def other_task(self, seed: int) -> Decoder:
        """Return the decoder of a model of another task."""
        return self._unrelated(seed, self.site)

    def of_noise(self, seed: int) -> Decoder:
        """Return a decoder trained on Gaussian activations."""
        return self._unrelated(seed, NOISE)

    def _unrelated(self, seed: int, site: str) -> Decoder:
        controls = self.autoencoders.get(ControlAutoencoders)
        return controls.control_sae(self.autoencoders.index(seed), site).W_dec
