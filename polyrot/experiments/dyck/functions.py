"""Pairs of models as functions: predictions on the same tokens, and their controls."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from jaxtyping import Float
from torch import Tensor

from polyrot.bars import PerSeed, behavioural, specification
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.models.harvest import predict
from polyrot.models.transformer import StackedTransformer, State, stack_states
from polyrot.suites.draws import draw_seed
from polyrot.symmetry.group import random_symmetry
from polyrot.tasks.dyck import LabelledSequences

Predictions = dict[str, Float[Tensor, "token label"]]
"""Logits by head."""

FunctionWorld = Callable[[DyckModels, int, int], tuple[StackedTransformer, int]]
"""Returns the model that replaces the target, given the models and the seeds of the pair.

It is returned as a stack and a position in it, so that one run of the stack serves every pair."""


def as_trained(dyck: DyckModels, source: int, target: int) -> tuple[StackedTransformer, int]:
    """The models themselves: no control."""
    return dyck.models, dyck.index(target)


def untrained(dyck: DyckModels, source: int, target: int) -> tuple[StackedTransformer, int]:
    """Each target is the same seed before training."""
    return dyck.untrained, dyck.index(target)


def decoy(dyck: DyckModels, source: int, target: int) -> tuple[StackedTransformer, int]:
    """Each target has its depth unembedding averaged in pairs of rows (0 and 1, 2 and 3, ...).

    The paper's decoy: a model that looks trained but is wrong about depth.
    """
    return _decoys(dyck), dyck.index(target)


def symmetric_image(dyck: DyckModels, source: int, target: int) -> tuple[StackedTransformer, int]:
    """Each target is the source under a random exact symmetry of its weights."""
    return _images(dyck), dyck.index(source)


def averaged_depths(state: State) -> State:
    """Average the rows of the depth unembedding in pairs: 0 and 1, 2 and 3, ..."""
    rows = state["W_U_depth"].clone()
    for row in range(0, len(rows) - 1, 2):
        rows[row : row + 2] = rows[row : row + 2].mean(0)
    return {**state, "W_U_depth": rows}


def swapped_blocks(state: State) -> State:
    """Swap the first two blocks: the paper's other decoy."""
    other = {"0": "1", "1": "0"}

    def swapped(name: str) -> str:
        kind, _, rest = name.partition(".")
        return f"blocks.{other.get(rest[0], rest[0])}{rest[1:]}" if kind == "blocks" else name

    return {name: state[swapped(name)] for name in state}


@lru_cache(maxsize=6)
def changed_models(dyck: DyckModels, change: Callable[[State], State]) -> StackedTransformer:
    """Change the weights of every model in the same way."""
    return restacked(dyck, [change(dyck.models.state(i)) for i in range(len(dyck.seeds))])


@lru_cache(maxsize=6)
def divergence_from_labels(models: StackedTransformer, sequences: int) -> PerSeed:
    """Measure bar B of every model of a stack, in nats; see `polyrot.bars.behavioural`."""
    return behavioural(models, specification(sequences))


@lru_cache(maxsize=1)
def _decoys(dyck: DyckModels) -> StackedTransformer:
    return changed_models(dyck, averaged_depths)


@lru_cache(maxsize=1)
def _images(dyck: DyckModels) -> StackedTransformer:
    models = dyck.models
    return restacked(
        dyck,
        [
            random_symmetry(models.state(i), models.config, draw_seed(seed))
            for i, seed in enumerate(dyck.seeds)
        ],
    )


def restacked(dyck: DyckModels, states: list[State]) -> StackedTransformer:
    """Build a stack of models of the same configuration, on the same device."""
    stacked = StackedTransformer(dyck.models.config, stack_states(states))
    return stacked.to(dyck.models.weight("W_E").device)


@dataclass(frozen=True)
class PredictionPair:
    """The predictions of two models on the non-PAD tokens of a batch."""

    seeds: tuple[int, int]
    source: Predictions
    target: Predictions


def prediction_pairs(
    dyck: DyckModels, batch: LabelledSequences, world: FunctionWorld, *, anchored: bool = False
) -> Iterator[PredictionPair]:
    """Predict with both models of every pair: all ordered pairs, or those from the first seed."""
    for source, target in dyck.seed_pairs(anchored=anchored):
        stacks = (dyck.models, dyck.index(source)), world(dyck, source, target)
        predictions = (
            {head: logits[index] for head, logits in _predictions(models, batch).items()}
            for models, index in stacks
        )
        yield PredictionPair((source, target), *predictions)


@lru_cache(maxsize=6)  # the trained models' predictions are compared with every control's
def _predictions(models: StackedTransformer, batch: LabelledSequences) -> dict[str, Tensor]:
    return predict(models, batch)
