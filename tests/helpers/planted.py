"""Suites whose truth is known, in the shape that claims expect of a real one."""

from collections.abc import Callable

import torch
from scipy.linalg import fractional_matrix_power
from torch import Tensor

import polyrot as pr
from polyrot.capabilities.streams import LATE_SITE, Checkpoints, ControlAutoencoders
from polyrot.models.harvest import Activations
from polyrot.models.transformer import TransformerConfig, initial_state
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import initial_weights, train_saes

SEEDS = (0, 1, 2, 3, 4)
SITES = ("resid_mid.0", LATE_SITE)
SEQUENCES = 160
LENGTH = 16


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(d: int, seed: int) -> Tensor:
    """Activations `[token, d]`: sums of a few of 2d directions, most of them in d/4 dimensions."""
    draw = generator(seed)
    strong = torch.randn(2 * d, d // 4, generator=draw) @ torch.randn(d // 4, d, generator=draw)
    directions = strong / (d / 4) ** 0.5 + 0.02 * torch.randn(2 * d, d, generator=draw)
    shape = (SEQUENCES * LENGTH, 2 * d)
    on = torch.rand(shape, generator=draw) < 2 / d
    return (on * torch.rand(shape, generator=draw)) @ directions


def gaussian(d: int, seed: int) -> Tensor:
    """Activations with a few strong directions and many weak ones."""
    draw = generator(seed)
    gains = torch.logspace(0, -1, d)
    return torch.randn(SEQUENCES * LENGTH, d, generator=draw) * gains


class PlantedSuite(Checkpoints, ControlAutoencoders):
    """Activations and autoencoders given from outside; no models, no files."""

    activations = untrained_activations = held_out = None  # given by __init__

    def __init__(
        self,
        activations: list[Tensor],
        saes: Callable[[int, int], pr.SAE],
        control_sae: Callable[[int], pr.SAE] | None = None,
    ) -> None:
        """Take one `[token, d]` set a seed, for every site; `saes(seed, sae_seed)`."""
        super().__init__("planted", SEEDS, SITES)
        d = activations[0].shape[1]
        sequence = torch.arange(SEQUENCES).repeat_interleave(LENGTH)
        stacked = torch.stack(activations).float()
        unrelated = torch.stack([gaussian(d, 900 + s) for s in SEEDS])
        self.activations = Activations(dict.fromkeys(SITES, stacked), sequence)
        self.untrained_activations = Activations(dict.fromkeys(SITES, unrelated), sequence)
        held = torch.randperm(SEQUENCES, generator=generator(0))[: SEQUENCES // 4]
        self.held_out = torch.isin(sequence, held)
        self.half_way_activations = self.activations
        self._planted, self._planted_control = saes, control_sae

    def earlier_activations(self, index: int) -> Activations:
        return self.half_way_activations

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> pr.SAE:
        return self._planted(seed, sae_seed)

    def control_sae(self, index: int, site: str) -> pr.SAE:
        assert self._planted_control is not None
        return self._planted_control(index)


def random_model(seed: int, config: TransformerConfig | None = None) -> dict[str, Tensor]:
    """Weights large enough for outputs that depend on the input."""
    state = initial_state(config or TransformerConfig(), seed)
    return {n: t if n.endswith("gain") else 10 * t for n, t in state.items()}


def trained_sae(x: Tensor) -> pr.SAE:
    return train_saes([x], [SAEConfig(steps=600, batch=256, learning_rate=5e-3)])[0]


def untrained_sae(d: int, seed: int) -> pr.SAE:
    return pr.SAE(**initial_weights(SAEConfig(seed=seed), d))


def rotated(d: int, draw: Callable[[int, int], Tensor] = features) -> PlantedSuite:
    """One function in five Haar-rotated bases, with other means: what the paper claims."""
    x = draw(d, 0)
    sae = trained_sae(x) if draw is features else untrained_sae(d, 0)
    activations = []
    for seed, turn in zip(SEEDS, pr.haar.sample(d, len(SEEDS), group="O", seed=3), strict=True):
        noise = 0.02 * x.std() * torch.randn(x.shape, generator=generator(70 + seed))
        shift = 0.5 * x.std() * torch.randn(d, generator=generator(80 + seed))
        activations.append(x @ turn.float() + shift + noise)
    carried = [pr.align(x, a, holdout=0).carry_sae(sae) for a in activations]
    return PlantedSuite(activations, lambda seed, sae_seed: carried[seed])


def half_way(d: int, *, related: bool) -> PlantedSuite:
    """Unrelated seeds whose half-way checkpoints are their own, turned less with depth.

    Or, not `related`, noise.
    """
    suite = unrelated(d)
    own = suite.activations.by_site[LATE_SITE]
    turn = pr.haar.sample(d, seed=8)
    turned = {
        site: own @ torch.from_numpy(fractional_matrix_power(turn.numpy(), share).real).float()
        for site, share in zip(SITES, (0.9, 0.4), strict=True)
    }
    other = torch.stack([torch.randn(own[0].shape, generator=generator(40 + s)) for s in SEEDS])
    by_site = turned if related else dict.fromkeys(SITES, other)
    suite.half_way_activations = Activations(by_site, suite.activations.sequence)
    return suite


def linear(d: int) -> PlantedSuite:
    """One function in bases that differ by ill-conditioned linear maps."""
    x = torch.randn(SEQUENCES * LENGTH, d, generator=generator(0))
    activations = []
    for seed in SEEDS:
        left, right = pr.haar.sample(d, 2, group="O", seed=60 + seed).float()
        activations.append(x @ left @ torch.diag(torch.logspace(0, -1.5, d)) @ right)
    sae = untrained_sae(d, 0)
    return PlantedSuite(activations, lambda seed, sae_seed: sae)


def identical(d: int, draw: Callable[[int, int], Tensor] = features) -> PlantedSuite:
    """One basis for all seeds: nothing is rotated."""
    x = draw(d, 0)
    sae = trained_sae(x) if draw is features else untrained_sae(d, 0)
    noises = [0.01 * x.std() * torch.randn(x.shape, generator=generator(s)) for s in SEEDS]
    return PlantedSuite([x + e for e in noises], lambda seed, sae_seed: sae)


def unrelated(d: int) -> PlantedSuite:
    """Every seed represents something of its own."""
    activations = [features(d, seed) for seed in SEEDS]
    saes = [trained_sae(x) for x in activations]
    return PlantedSuite(activations, lambda seed, sae_seed: saes[seed])


def noise_targets(d: int) -> PlantedSuite:
    """The first seed represents features, all others isotropic noise."""
    x = features(d, 0)
    sae = trained_sae(x)
    others = [torch.randn(x.shape, generator=generator(seed)) for seed in SEEDS[1:]]
    return PlantedSuite([x, *others], lambda seed, sae_seed: sae)


def signed_permutations(d: int) -> PlantedSuite:
    """One basis up to the order and the signs of its dimensions."""
    x = gaussian(d, 0)
    activations = []
    for seed in SEEDS:
        draw = generator(seed)
        signs = torch.randint(0, 2, (d,), generator=draw) * 2 - 1
        activations.append((x * signs)[:, torch.randperm(d, generator=draw)])
    sae = untrained_sae(d, 0)
    return PlantedSuite(activations, lambda seed, sae_seed: sae)


def dictionaries(d: int, *, shared: bool) -> PlantedSuite:
    """Decoders that are the same for all seeds up to order and noise, or unrelated."""
    base = untrained_sae(d, 1000)

    def saes(seed: int, sae_seed: int) -> pr.SAE:
        own = base if shared else untrained_sae(d, 2000 + seed)
        draw = generator(10 * seed + sae_seed)
        order = torch.randperm(own.features, generator=draw)
        noise = 0.05 * torch.randn(own.W_dec.shape, generator=draw)
        return pr.SAE(own.W_enc, own.b_enc, own.W_dec[order] + noise, own.b_dec)

    return PlantedSuite(
        [gaussian(d, seed) for seed in SEEDS], saes, lambda index: untrained_sae(d, 3000 + index)
    )
