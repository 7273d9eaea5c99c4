"""Suites whose truth is known, in the shape that claims expect of a real one."""

import torch
from torch import Tensor

import polyrot as pr
from polyrot.capabilities.streams import LATE_SITE, Streams
from polyrot.models.harvest import Activations
from polyrot.models.transformer import TransformerConfig, initial_state
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import initial_weights

SEEDS = (0, 1, 2, 3, 4)
SITES = ("resid_mid.0", LATE_SITE)
SEQUENCES = 160
LENGTH = 16


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(d: int, seed: int) -> Tensor:
    """Activations with a few strong directions and many weak ones."""
    draw = generator(seed)
    gains = torch.logspace(0, -1, d)
    return torch.randn(SEQUENCES * LENGTH, d, generator=draw) * gains


class PlantedSuite(Streams):
    """Activations given from outside; no models, no files."""

    activations = untrained_activations = held_out = None  # given by __init__

    def __init__(self, activations: list[Tensor]) -> None:
        """Take one `[token, d]` set a seed, for every site."""
        super().__init__("planted", SEEDS, SITES)
        d = activations[0].shape[1]
        sequence = torch.arange(SEQUENCES).repeat_interleave(LENGTH)
        unrelated = torch.stack([gaussian(d, 900 + s) for s in SEEDS])
        stacked = torch.stack(activations).float()
        self.activations = Activations(dict.fromkeys(SITES, stacked), sequence)
        self.untrained_activations = Activations(dict.fromkeys(SITES, unrelated), sequence)
        held = torch.randperm(SEQUENCES, generator=generator(0))[: SEQUENCES // 4]
        self.held_out = torch.isin(sequence, held)


def random_model(seed: int, config: TransformerConfig | None = None) -> dict[str, Tensor]:
    """Weights large enough for outputs that depend on the input."""
    state = initial_state(config or TransformerConfig(), seed)
    return {n: t if n.endswith("gain") else 10 * t for n, t in state.items()}


def untrained_sae(d: int, seed: int) -> pr.SAE:
    return pr.SAE(**initial_weights(SAEConfig(seed=seed), d))
