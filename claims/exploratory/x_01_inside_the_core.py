"""X-01: the rotation acts inside the core and outside it.

Exploratory: no paper claims it.  "Polymorphism Is Rotation" (arXiv 2605.24577) fits one rotation
to the whole residual stream; "Transformers converge to invariant algorithmic cores" (arXiv
2602.22600) finds that models share a subspace of it.  Does the rotation act inside that subspace,
outside it, or both?  It is fitted to whole activations at the last site, as for PIR-05, with the
same bar; the held-out explained variance is then split into that inside the source's core and that
in its complement, each with its verdict.  The core is that of ACE at 99% of the energy, with the
rest of the model as tail.

The details give the same split for the principal axes of the same number and for a random
subspace, and how close the rotation brings the target's core to the source's.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from polyrot.capabilities import controls
from polyrot.capabilities.controls import Basis
from polyrot.capabilities.cores import Cores
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.pairs import World as PairWorld
from polyrot.claim import *
from polyrot.cores.comparison import overlap
from polyrot.linalg import haar
from polyrot.sae.metrics import ev

CLAIM = Claim(
    "X-01",
    "The rotation acts inside the core and outside it",
    "exploratory, of no paper",
    true_in=("haar",),
    false_in=(
        "shuffled-inside",
        "shuffled-outside",
        "shuffled-tokens",
        "gaussian-matched",
        "unrelated",
    ),
)
INSIDE, OUTSIDE = PARTS = "inside the core", "outside it"
World = Callable[[Pair, Basis], Pair]
"""Given a pair and the core of its source."""


def whatever_the_core(world: PairWorld) -> World:
    return lambda pair, core: world(pair)


AS_TRAINED = whatever_the_core(as_trained)
CONTROLS = (
    negative("shuffled tokens", whatever_the_core(controls.shuffled_tokens)),
    negative("untrained seed", whatever_the_core(controls.untrained)),
    negative("shuffled inside the core", partial(controls.shuffled_part, inside=True), INSIDE),
    negative("shuffled outside the core", partial(controls.shuffled_part, inside=False), OUTSIDE),
    positive("Haar world with 10% noise", whatever_the_core(controls.haar_world(noise=0.1))),
)
BAR = Bar.above(0.5, "held-out alignment EV")
HARDENED = Measurement(CLAIM, BAR, CONTROLS)
ALIGNMENT_EV = ByPart(
    "parts",
    title="Where the rotation acts",
    caption="Held-out explained variance of the source by the rotated target, inside the "
    "source's core and in its complement; mean over pairs.",
    y="alignment EV, held out",
    curves=(
        Curve("models", Role.MODELS),
        Curve("principal axes instead", Role.BESIDE, detail="mean EV with principal axes instead"),
        *control_curves(CONTROLS[1:4]),
    ),
    bar=BAR,
)


def ev_by_part(pair: Pair, basis: Basis) -> dict[str, float]:
    """Explained variance of the source inside a subspace, and in its complement."""
    source = pair.source[pair.scored].double()
    rotated = pair.alignment.apply(pair.target[pair.scored])
    complement = torch.linalg.qr(basis, mode="complete").Q[:, basis.shape[1] :]
    return {
        part: ev(rotated @ axes, source @ axes)
        for part, axes in zip(PARTS, (basis, complement), strict=True)
    }


def other_subspaces(pair: Pair, rank: int) -> dict[str, Basis]:
    fitted = pair.source[~pair.held_out].double()
    axes: Tensor = torch.linalg.eigh(torch.cov(fitted.mT))[1].flip(1)
    return {
        "principal axes": axes[:, :rank],
        "random subspace": haar.sample(pair.d_model, seed=pair.draw_seed(51))[:, :rank],
    }


def core_overlaps(pair: Pair, source: Basis, target: Basis) -> dict[str, float]:
    """How close the rotation brings the target's core to the source's."""
    return {
        "mean rank of the core": float(source.shape[1]),
        "mean overlap of cores as they are": overlap(target, source),
        "mean overlap of cores once carried": overlap(pair.alignment.rotation.mT @ target, source),
        "mean overlap by chance": (source.shape[1] * target.shape[1]) ** 0.5 / pair.d_model,
    }


def alignment_ev(cores: Cores, world: World) -> dict[str, Estimate]:
    def measure(pair: Pair) -> dict[str, Measured]:
        source, target = (cores.core(seed).basis() for seed in pair.seeds)
        also: dict[str, dict[str, float]] = {INSIDE: {}, OUTSIDE: {}}
        if world is AS_TRAINED:
            also[INSIDE] = core_overlaps(pair, source, target)
            for name, basis in other_subspaces(pair, source.shape[1]).items():
                for part, value in ev_by_part(pair, basis).items():
                    also[part][f"mean EV with {name} instead"] = value
        found = ev_by_part(world(pair, source), source)
        return {part: Measured(value, also[part]) for part, value in found.items()}

    return average_by_part(cores.pairs(cores.core_site), measure)


@pytest.mark.measurement(HARDENED)
def test_hardened(cores: Cores, judge: Judge) -> None:
    judge(lambda world=AS_TRAINED: alignment_ev(cores, world), figures=[ALIGNMENT_EV])
