"""Worlds of Markov chains: models of which it is known what they encode, and where.

Five seeds, made from the planted models of `polyrot.experiments.chains.planted`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import torch

from polyrot.experiments.chains.models import FEWER_SEQUENCES, ChainModels, Chains
from polyrot.experiments.chains.planted import (
    D_MODEL,
    SEEDS,
    SEQUENCES,
    SHARPNESS,
    Bases,
    bases_apart,
    codes,
    knows_the_state,
    one_basis,
    random_bases,
)
from polyrot.models.encoder_cohorts import CHAINS
from polyrot.progress import Progress, silent
from polyrot.suites.draws import Draw
from polyrot.suites.registry import world_name
from polyrot.tasks.markov import Chain

CONSTANT = 10.0
"""Distance of a constant from zero."""


def knows_one_bit(draw: Draw, *, sequences: int = SEQUENCES) -> ChainModels:
    """Of a chain whose next state depends on one bit: only that bit is encoded, and read."""
    chain = CHAINS["markov-two-rows"]
    models = knows_the_state(draw, chain, sequences=sequences)
    states = chain.sample(sequences, seed=draw.seed(0, 2))
    bit = (states[:, :-1] >= 2).float() - 0.5
    answers = torch.tensor([1.0, 0.0, -1.0, 0.0])
    activations, weights = [], []
    for seed, x in zip(SEEDS, models.activations, strict=True):
        inside = random_bases(draw, seed)[:, : chain.states - 1]
        axis = inside[:, 0]
        activations.append(x - x @ inside @ inside.mT + bit[..., None] * axis)
        weights.append(SHARPNESS * answers[:, None] * axis)
    return replace(models, activations=torch.stack(activations), weight=torch.stack(weights))


def knows_nothing(draw: Draw, chain: Chain, *, sequences: int = SEQUENCES) -> ChainModels:
    """Only noise, all of which is read."""
    models = knows_the_state(draw, chain, sequences=sequences)
    shapes = (models.activations.shape, models.weight.shape)
    noise, weight = (
        torch.randn(shape, generator=draw.generator(index, 4)) for index, shape in enumerate(shapes)
    )
    return replace(models, activations=noise, weight=weight)


def reads_noise_too(draw: Draw, chain: Chain, loudness: float = 3.0) -> ChainModels:
    """Each answer also reads a noise that no other answer reads."""
    models = knows_the_state(draw, chain)
    ears = torch.randn(models.weight.shape, generator=draw.generator(0, 5))
    return replace(models, weight=models.weight + loudness * ears)


def hears_a_loud_voice(draw: Draw, chain: Chain, bases: Bases = random_bases) -> ChainModels:
    """All answers read one loud noise alike, which alters none of them and is first in the core.

    Three directions are then neither sufficient nor necessary.
    """
    models = knows_the_state(draw, chain, bases)
    voice = torch.stack([bases(draw, seed)[:, 20] for seed in SEEDS])
    shape = models.activations.shape[:3]
    loud = 30 * torch.randn(shape, generator=draw.generator(0, 6))
    return replace(
        models,
        activations=models.activations + loud[..., None] * voice[:, None, None],
        weight=models.weight + voice[:, None],
    )


def needs_its_mean(draw: Draw, chain: Chain) -> ChainModels:
    """A constant outside the core suppresses an answer that would otherwise always win."""
    models = knows_the_state(draw, chain)
    away = torch.stack([random_bases(draw, seed)[:, 21] for seed in SEEDS])
    noise = torch.einsum("nsld,nd->nsl", models.activations, away)
    weight, bias = models.weight.clone(), models.bias.clone()
    weight[:, 0] -= SHARPNESS * away
    bias[:, 0] = SHARPNESS * CONSTANT
    moved = models.activations + (CONSTANT - noise)[..., None] * away[:, None, None]
    return replace(models, activations=moved, weight=weight, bias=bias)


def of_other_sequences(draw: Draw, chain: Chain) -> ChainModels:
    """Every seed's states are of the sequences in another order."""
    models = knows_the_state(draw, chain)
    orders = [torch.randperm(SEQUENCES, generator=draw.generator(seed, 7)) for seed in SEEDS]
    moved = [x[order] for x, order in zip(models.activations, orders, strict=True)]
    return replace(models, activations=torch.stack(moved))


def a_third_of_its_own(draw: Draw, chain: Chain) -> ChainModels:
    """In one dimension of the core noise, drawn for each seed, replaces the state."""
    models = knows_the_state(draw, chain)
    spread = float(codes(chain).std())
    activations = []
    for seed, x in zip(SEEDS, models.activations, strict=True):
        axis = random_bases(draw, seed)[:, chain.states - 2]
        generator = draw.generator(seed, 8)
        noise = spread * torch.randn(x.shape[:2], generator=generator)
        activations.append(x + (noise - x @ axis)[..., None] * axis)
    return replace(models, activations=torch.stack(activations))


def out_of_order(draw: Draw, chain: Chain) -> ChainModels:
    """The states of every sequence, at randomly permuted positions."""
    models = knows_the_state(draw, chain)
    length = models.targets.shape[1]
    order = torch.rand(SEQUENCES, length, generator=draw.generator(0, 9)).argsort(1)
    index = order[None, :, :, None].expand(len(SEEDS), -1, -1, D_MODEL)
    return replace(models, activations=models.activations.gather(2, index))


CHAIN = CHAINS["markov"]

CHAIN_WORLDS: dict[str, Callable[[Draw], ChainModels]] = {
    "chain-state": lambda draw: knows_the_state(draw, CHAIN),
    "chain-apart": lambda draw: knows_the_state(draw, CHAIN, bases_apart),
    "chain-together": lambda draw: knows_the_state(draw, CHAIN, one_basis),
    "chain-one-bit": knows_one_bit,
    "chain-hears-noise": lambda draw: reads_noise_too(draw, CHAIN),
    "chain-loud-voice": lambda draw: hears_a_loud_voice(draw, CHAIN),
    "chain-needs-its-mean": lambda draw: needs_its_mean(draw, CHAIN),
    "chain-own-third": lambda draw: a_third_of_its_own(draw, CHAIN),
    "chain-other-sequences": lambda draw: of_other_sequences(draw, CHAIN),
    "chain-out-of-order": lambda draw: out_of_order(draw, CHAIN),
}
"""By name: what the models of the four-state chain know, and in which subspace."""


class ChainWorld(Chains):
    """Synthetic models of the four-state chain, or for `chain-one-bit` of the one-bit chain.

    For controls there are models of other chains, which know what determines their next state, and
    models before training, which know nothing.
    """

    def __init__(self, world: str, *, draw: int = 0, progress: Progress = silent) -> None:
        """Take a world of `CHAIN_WORLDS` and the number of its random draw."""
        super().__init__(world_name(world, draw), SEEDS)
        self._make, self._draw = CHAIN_WORLDS[world], Draw(draw)
        self._others: dict[str, ChainModels] = {}

    @cached_property
    def models(self) -> ChainModels:
        return self._make(self._draw)

    @cached_property
    def untrained_models(self) -> ChainModels:
        return knows_nothing(self._draw, CHAIN)

    def models_of(self, name: str) -> ChainModels:
        if name not in self._others:
            self._others[name] = (
                knows_one_bit(self._draw, sequences=FEWER_SEQUENCES)
                if name == "markov-two-rows"
                else knows_the_state(self._draw, CHAINS[name], sequences=FEWER_SEQUENCES)
            )
        return self._others[name]
