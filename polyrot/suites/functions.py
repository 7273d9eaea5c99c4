"""Pairs of models as functions: predictions on the same tokens, and controls of them."""

from collections.abc import Callable, Iterator
from functools import lru_cache

from jaxtyping import Float
from torch import Tensor

from polyrot.models.harvest import predict
from polyrot.models.transformer import StackedTransformer, State
from polyrot.suites.pairs import draw_seed
from polyrot.suites.suite import Suite
from polyrot.symmetry.group import random_symmetry
from polyrot.tasks.dyck import LabelledSequences

Predictions = dict[str, Float[Tensor, "token label"]]
"""Logits by head."""

FunctionWorld = Callable[[Suite, int], StackedTransformer]
"""The models that take the targets' place, given the suite and the source seed."""


def as_trained(suite: Suite, source: int) -> StackedTransformer:
    """The models themselves: no control."""
    return suite.models


def untrained(suite: Suite, source: int) -> StackedTransformer:
    """Each target is its seed before training."""
    return suite.untrained


def decoy(suite: Suite, source: int) -> StackedTransformer:
    """Each target has its depth unembedding averaged in pairs of rows (0 and 1, 2 and 3, ...).

    The paper's decoy: a model that looks trained and is wrong about depth.
    """
    return _decoys(suite)


@lru_cache(maxsize=1)
def _decoys(suite: Suite) -> StackedTransformer:
    def averaged(state: State) -> State:
        rows = state["W_U_depth"].clone()
        for row in range(0, len(rows) - 1, 2):
            rows[row : row + 2] = rows[row : row + 2].mean(0)
        return {**state, "W_U_depth": rows}

    return suite.stack([averaged(suite.models.state(i)) for i in range(len(suite.seeds))])


def symmetric_image(suite: Suite, source: int) -> StackedTransformer:
    """Each target is the source under a random exact symmetry of its weights."""
    state = suite.models.state(suite.index(source))
    return suite.stack(
        [
            random_symmetry(state, suite.cohort.architecture, draw_seed(source, target))
            for target in suite.seeds
        ]
    )


def prediction_pairs(
    suite: Suite, batch: LabelledSequences, world: FunctionWorld, *, anchored: bool = False
) -> Iterator[tuple[tuple[int, int], Predictions, Predictions]]:
    """Yield `(seeds, of the source, of the target)` on the non-PAD tokens of a batch."""
    predictions = predict(suite.models, batch)
    models, replaced = suite.models, predictions
    for source in dict.fromkeys(source for source, _ in suite.seed_pairs(anchored=anchored)):
        targets = world(suite, source)
        if targets is not models:  # most worlds are the same for every source
            models, replaced = targets, predict(targets, batch)
        for pair in suite.seed_pairs(anchored=anchored):
            if pair[0] == source:
                yield (
                    pair,
                    {head: v[suite.index(source)] for head, v in predictions.items()},
                    {head: v[suite.index(pair[1])] for head, v in replaced.items()},
                )
