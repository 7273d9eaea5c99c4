"""X-01: the rotation acts inside the core and outside it.

Exploratory: no paper claims it.  "Polymorphism Is Rotation" (arXiv 2605.24577) fits one rotation
to the whole residual stream; "Transformers converge to invariant algorithmic cores" (arXiv
2602.22600) finds that models share a subspace of it.  Does the rotation act inside that subspace,
outside it, or both?  It is fitted to whole activations at the last site, as for PIR-05, with the
same bar; the held-out explained variance is then split into that inside the source's core (of ACE,
99% of the energy, with the rest of the model as tail) and that in its complement.

The details give the same split for a random subspace and for the first principal axes, of the
core's rank, and how close the rotation brings the target's core to the source's.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from polyrot.capabilities import controls
from polyrot.capabilities.controls import Basis
from polyrot.capabilities.cores import Cores, core_overlaps
from polyrot.capabilities.pairs import Pair
from polyrot.claim import *
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
INSIDE, OUTSIDE = "inside the core", "outside it"
World = Callable[[Pair, Basis], Pair]
"""Given a pair and the core of its source."""


def as_trained(pair: Pair, core: Basis) -> Pair:
    return pair


CONTROLS = (
    negative("shuffled tokens", lambda pair, core: controls.shuffled_tokens(pair)),
    negative("untrained seed", lambda pair, core: controls.untrained(pair)),
    negative("shuffled inside the core", partial(controls.shuffled_part, inside=True), INSIDE),
    negative("shuffled outside the core", partial(controls.shuffled_part, inside=False), OUTSIDE),
    positive("Haar world with 10% noise", lambda pair, core: controls.haar_world(noise=0.1)(pair)),
)
BAR = Bar.above(0.5, "held-out alignment EV", scale=Scale.LOG_LOST)
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
HARDENED = Measurement(CLAIM, BAR, CONTROLS, figures=(ALIGNMENT_EV,))


def ev_by_part(pair: Pair, basis: Basis) -> dict[str, float]:
    """Explained variance of the source inside a subspace, and in its complement."""
    source = pair.source[pair.scored].double()
    # Not the scale of least squares: what is shuffled in one part would shorten the other.
    rotated = pair.carrying.apply(pair.target[pair.scored])
    complement = torch.linalg.qr(basis, mode="complete").Q[:, basis.shape[1] :]
    axes = {INSIDE: basis, OUTSIDE: complement}
    return {part: ev(rotated @ part_axes, source @ part_axes) for part, part_axes in axes.items()}


@pytest.mark.measurement(HARDENED)
def test_hardened(cores: Cores, judge: Judge) -> None:
    def alignment_ev(pair: Pair, world: World) -> dict[str, Measured]:
        source, target = (cores.core(seed).basis() for seed in pair.seeds)
        also: dict[str, dict[str, float]] = {INSIDE: {}, OUTSIDE: {}}
        if world is as_trained:
            also[INSIDE] = core_overlaps(pair, source, target)
            for name, other in (
                ("principal axes", controls.principal_axes),
                ("random subspace", controls.random_subspace),
            ):
                for part, value in ev_by_part(pair, other(pair, source.shape[1])).items():
                    also[part][f"mean EV with {name} instead"] = value
        found = ev_by_part(world(pair, source), source)
        return {part: Measured(value, also[part]) for part, value in found.items()}

    def measure(world: World = as_trained) -> dict[str, Estimate]:
        pairs = cores.pairs(cores.core_site)
        return average_by_part(pairs, lambda pair: alignment_ev(pair, world))

    judge(measure)
