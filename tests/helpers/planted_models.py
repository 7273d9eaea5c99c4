"""Suites of whole models whose truth is known, made of shipped weights or drawn ones."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from planted import random_model, untrained_sae
from torch import Tensor

import polyrot as pr
from polyrot.capabilities.components import Components, Subject
from polyrot.capabilities.streams import Autoencoders
from polyrot.experiments.dyck import components
from polyrot.experiments.dyck.functions import averaged_depths
from polyrot.experiments.dyck.suite import INTERNAL_SITES, DyckModels
from polyrot.models.harvest import harvest
from polyrot.models.transformer import (
    StackedTransformer,
    State,
    TransformerConfig,
    initial_state,
    stack_states,
)
from polyrot.suites.artifacts import SHIPPED, Artifacts
from polyrot.symmetry.group import WRITERS, Symmetry, fold_gains, random_symmetry
from polyrot.tasks import dyck

CONFIG = TransformerConfig()
SMALL = TransformerConfig(d_model=32, d_head=8, d_mlp=64)
"""Of drawn weights: as many layers and heads, an eighth of the parameters."""

SEEDS = (0, 1, 2, 3, 4)
FEW = SEEDS[:3]
"""Of worlds whose truth shows without a narrow interval."""

SEQUENCES = 192


class PlantedModels(DyckModels, Components, Autoencoders):
    """Models given from outside, with their twins before training and what they do on tokens."""

    models = untrained = tokens = activations = untrained_activations = None  # given by __init__
    held_out = lowest_accuracy = shares_io = None

    def __init__(
        self,
        states: Sequence[State],
        positions: Tensor | None = None,
        *,
        config: TransformerConfig = CONFIG,
        shares_io: bool = True,
        others: dict[str, StackedTransformer] | None = None,
    ) -> None:
        super().__init__("planted", SEEDS[: len(states)], INTERNAL_SITES)
        self.models = StackedTransformer(config, stack_states(states), positions)
        untrained = [initial_state(config, 50 + seed) for seed in self.seeds]
        self.untrained = StackedTransformer(config, stack_states(untrained))
        self.lowest_accuracy = 1.0
        self.shares_io = shares_io
        self.tokens = dyck.sample_short(SEQUENCES, rng=np.random.default_rng(0))
        self.activations = harvest(self.models, self.tokens)
        self.untrained_activations = harvest(self.untrained, self.tokens)
        self.held_out = self.activations.sequence % 4 == 0
        self._others = others or {}

    def component_models(self, *, trained: bool = True) -> list[StackedTransformer]:
        return [self.models if trained else self.untrained]

    def subject(self, model: StackedTransformer, *, published: bool = False) -> Subject:
        return components.published_subject(model) if published else components.subject(model)

    def batches(self):
        return components.batches(self.models)

    def cohort(self, name: str) -> StackedTransformer:
        return self._others[name]

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> pr.SAE:
        return untrained_sae(self.models.config.d_model, 0)


def shipped(suite: str, seed: int) -> State:
    return Artifacts.open(SHIPPED / suite).model(seed)


def stack(states: Sequence[State]) -> StackedTransformer:
    return StackedTransformer(CONFIG, stack_states(states))


def same_function() -> PlantedModels:
    """Images of one model under exact symmetries of its weights."""
    state = random_model(0, SMALL)
    return PlantedModels([random_symmetry(state, SMALL, s) for s in SEEDS], config=SMALL)


def different_functions() -> PlantedModels:
    return PlantedModels([random_model(seed, SMALL) for seed in SEEDS], config=SMALL)


def one_trained(*, shares_io: bool = True) -> PlantedModels:
    """Images of one trained model, in its own basis."""
    state = shipped("dyck3", 0)
    images = [random_symmetry(state, CONFIG, s) for s in FEW]
    return PlantedModels(images, shares_io=shares_io)


def one_trained_rotated() -> PlantedModels:
    """Images of one trained model in Haar-rotated bases."""
    drawn = [Symmetry.random(CONFIG, s, residual=True) for s in SEEDS]
    state = shipped("dyck3", 0)
    return PlantedModels(
        [symmetry.apply(state) for symmetry in drawn],
        torch.stack([symmetry.positions(CONFIG) for symmetry in drawn]),
        shares_io=False,
    )


def nearly_linear() -> PlantedModels:
    """Components that write so little that the loss is linear in it."""

    def quiet(state: State) -> State:
        return {n: t * 0.002 if n.endswith(WRITERS) else t for n, t in state.items()}

    return PlantedModels([quiet(random_model(seed, SMALL)) for seed in SEEDS], config=SMALL)


def blind_to_depth() -> PlantedModels:
    """Trained models whose depth unembedding a decoy leaves as it is."""
    return PlantedModels([averaged_depths(shipped("dyck3", seed)) for seed in FEW])


def rotated_cohort() -> PlantedModels:
    """Seeds that share nothing but are those that share their boundary, in rotated bases."""
    shared = [shipped("dyck3", seed) for seed in FEW]
    rotated = [
        Symmetry.random(CONFIG, 7 + s, residual=True).apply(state)
        for s, state in zip(FEW, shared, strict=True)
    ]
    return PlantedModels(rotated, shares_io=False, others={"dyck3": stack(shared)})


def extrapolating() -> PlantedModels:
    """The cohort trained on short sequences answers long ones as well as the other."""
    states = [shipped("dyck3-independent", 100 + s) for s in SEEDS]
    others = {"dyck3-short": stack(states), "dyck3": stack(states)}
    return PlantedModels(states, shares_io=False, others=others)


def not_extrapolating() -> PlantedModels:
    """Images of one model; those of the short cohort's place are blind to the depth."""
    state = shipped("dyck3-independent", 100)
    states = [random_symmetry(state, CONFIG, s) for s in SEEDS]
    others = {"dyck3-short": stack([averaged_depths(s) for s in states]), "dyck3": stack(states)}
    return PlantedModels(states, shares_io=False, others=others)


def turned_by(angle: float) -> Symmetry:
    """Rotate every plane of two neighbouring coordinates by an angle."""
    plane = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    planes = [torch.tensor(plane, dtype=torch.float64)] * (CONFIG.d_model // 2)
    return Symmetry(Symmetry.identity(CONFIG).layers, torch.block_diag(*planes))


def thirds_of_a_turn() -> PlantedModels:
    """Three images of one trained model: every direction of each points away from the others'."""
    drawn = [turned_by(2 * math.pi * third / 3) for third in FEW]
    state = shipped("dyck3", 0)
    return PlantedModels(
        [symmetry.apply(state) for symmetry in drawn],
        torch.stack([symmetry.positions(CONFIG) for symmetry in drawn]),
        shares_io=False,
    )


def aligned_in_part() -> PlantedModels:
    """One trained model in bases turned by parts of a turn, with noise on every tensor."""
    state = fold_gains({name: t.double() for name, t in shipped("dyck3", 0).items()})
    states, codes = [], []
    for seed in FEW:
        generator = torch.Generator().manual_seed(seed)
        noisy = {
            name: t + 0.35 * t.std() * torch.randn(t.shape, generator=generator).double()
            if not name.endswith("gain")
            else t
            for name, t in state.items()
        }
        symmetry = turned_by(0.8 * seed)
        states.append({name: t.float() for name, t in symmetry.apply(noisy).items()})
        codes.append(symmetry.positions(CONFIG))
    return PlantedModels(states, torch.stack(codes))
