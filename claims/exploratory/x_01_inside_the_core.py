"""X-01: the rotation acts inside the core and outside it.

Exploratory: no paper says so.  "Polymorphism Is Rotation" (arXiv 2605.24577) fits one rotation
to all of the residual stream; "Transformers converge to invariant algorithmic cores" (arXiv
2602.22600) finds that models share a subspace of it.  Does the rotation act inside that subspace,
outside it, or in both?  It is fitted to whole activations at the last site, as for PIR-05, whose
bar this is; then the held-out explained variance is taken apart into that inside the source's
core and that in its complement, each with its verdict.  The core is that of ACE at 99% of the
energy, with the rest of the model as tail.

The details hold the same for as many principal axes and for a random subspace, and how far the
rotation carries the target's core onto the source's.
"""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import figures
from polyrot.capabilities.pairs import Pair, as_trained, means_beside
from polyrot.capabilities.pairs import World as PairWorld
from polyrot.cores.comparison import overlap
from polyrot.linalg import haar
from polyrot.sae.metrics import ev
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

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

Basis = Float[Tensor, "d_model rank"]
World = Callable[[Basis], PairWorld]
"""The world that a pair is in, given the core of its source."""


def whatever_the_core(world: PairWorld) -> World:
    return lambda core: world


def shuffled_in_part(*, inside: bool) -> World:
    """The target is the source under a Haar rotation, but of other tokens in one part."""

    def given(core: Basis) -> PairWorld:
        def world(pair: Pair) -> Pair:
            x = pair.source.double()
            within = x @ core @ core.mT
            without = x - within
            order = torch.randperm(len(x), generator=pair.generator(52))
            mixed = within[order] + without if inside else within + without[order]
            rotation = haar.sample(pair.d_model, group="O", seed=pair.draw_seed(53))
            return pair.with_target((mixed @ rotation).float())

        return world

    return given


CONTROLS = (
    negative("shuffled tokens", whatever_the_core(worlds.shuffled_tokens)),
    negative("untrained seed", whatever_the_core(worlds.untrained)),
    negative("shuffled inside the core", shuffled_in_part(inside=True), INSIDE),
    negative("shuffled outside the core", shuffled_in_part(inside=False), OUTSIDE),
    positive("Haar world with 10% noise", whatever_the_core(worlds.haar_world(noise=0.1))),
)
BAR = Bar.above(0.5, "held-out alignment EV")
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def taken_apart(pair: Pair, basis: Basis) -> dict[str, float]:
    """Explained variance of the source inside a subspace, and in its complement."""
    x = pair.source[pair.scored].double()
    found = pair.alignment.apply(pair.target[pair.scored])
    complement = torch.linalg.qr(basis, mode="complete").Q[:, basis.shape[1] :]
    bases = zip(PARTS, (basis, complement), strict=True)
    return {part: ev(found @ own, x @ own) for part, own in bases}


def other_subspaces(pair: Pair, core: Basis) -> dict[str, dict[str, float]]:
    """What stands beside each part: of as many principal axes, and of a random subspace."""
    x = pair.source[~pair.held_out].double()
    axes: Tensor = torch.linalg.eigh(torch.cov(x.mT))[1].flip(1)
    rank = core.shape[1]
    others = {
        "principal axes": axes[:, :rank],
        "random subspace": haar.sample(pair.d_model, seed=pair.draw_seed(51))[:, :rank],
    }
    found = {name: taken_apart(pair, basis) for name, basis in others.items()}
    return {
        part: {f"EV with {name} instead": own[part] for name, own in found.items()}
        for part in PARTS
    }


def carried(suite: Suite, pair: Pair) -> dict[str, float]:
    """How far the rotation carries the target's core onto the source's."""
    source, target = (suite.core(seed).basis() for seed in pair.seeds)
    return {
        "rank of the core": float(source.shape[1]),
        "overlap of cores as they are": overlap(target, source),
        "overlap of cores once carried": overlap(pair.alignment.rotation.mT @ target, source),
        "overlap by chance": (source.shape[1] * target.shape[1]) ** 0.5 / pair.d_model,
    }


def in_each_part(estimates: figures.Worlds) -> list[Figure]:
    curves = [
        ("models", Role.MODELS, MODELS, ""),
        ("principal axes instead", Role.BESIDE, MODELS, "mean EV with principal axes instead"),
        *((control.name, Role.NEGATIVE, control.name, "") for control in CONTROLS[1:4]),
    ]
    return [
        figures.by_part(
            estimates,
            curves,
            name="parts",
            title="Where the rotation acts",
            caption="Held-out explained variance of the source by the rotated target, inside the "
            "source's core and in its complement; mean over pairs.",
            y="alignment EV, held out",
            bar=BAR,
        )
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = whatever_the_core(as_trained)) -> dict[str, Estimate]:
        values: dict[str, dict[tuple[int, int], float]] = {part: {} for part in PARTS}
        beside: dict[str, dict[str, dict[tuple[int, int], float]]] = {part: {} for part in PARTS}
        for pair in suite.pairs(suite.core_site):
            core = suite.core(pair.seeds[0]).basis()
            placed = world(core)(pair)
            for part, value in taken_apart(placed, core).items():
                values[part][pair.seeds] = value
            if placed is not pair:
                continue
            others = other_subspaces(pair, core)
            others[INSIDE] |= carried(suite, pair)
            for part, figures_beside in others.items():
                for name, number in figures_beside.items():
                    beside[part].setdefault(name, {})[pair.seeds] = number
        return {
            part: jackknife(own, details=means_beside(beside[part])) for part, own in values.items()
        }

    judge(measure, figures=in_each_part)
