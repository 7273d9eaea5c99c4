"""PIR-14: the same account holds across checkpoints of one run.

"Polymorphism Is Rotation" (arXiv 2605.24577): between two checkpoints of one training
run, a rotation lets the autoencoder of one reconstruct the other with EV of at least
0.98 and better than without, and comes closer to the identity with depth.  The paper
shows one pair of checkpoints of one seed; here every seed gives one: its analysis
checkpoint, whose autoencoder it is, and the checkpoint half way through training.  The
margin is the smallest of EV - 0.98, EV - naive EV, and the fall of norm(R - I) / sqrt(2d)
from the first site to the last.  Hardened: held-out tokens, scored against the source's
own activations.
"""

from collections.abc import Callable

import pytest
import torch

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import figures
from polyrot.capabilities.pairs import Metric, Pair, means_beside
from polyrot.sae.metrics import ev, ev_published, reconstruct
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

Checkpoints = Callable[[Suite, str], list[Pair]]
"""Pairs of checkpoints at a site: the source, whose autoencoder it is, and an earlier one."""


def one_run(suite: Suite, site: str) -> list[Pair]:
    return suite.checkpoint_pairs(site)


def other_run(suite: Suite, site: str) -> list[Pair]:
    return suite.checkpoint_pairs(site, other_run=True)


def turned_less_with_depth(suite: Suite, site: str) -> list[Pair]:
    share = 1 - suite.sites.index(site) / len(suite.sites)
    return [worlds.turned(share)(pair) for pair in suite.checkpoint_pairs(site)]


CLAIM = Claim(
    "PIR-14",
    "The account holds across checkpoints of one run",
    "arXiv 2605.24577, cross-checkpoint",
    {
        "dyck3": "naive EV 0.90-0.95, rotated 0.98-0.999; norm 10.4 to 2.9 (seed 0)",
        "pythia-checkpoints": "layer 3: naive EV -0.86, rotated 0.73; norm(R - I) 16.81",
    },
)
LEAST = 0.98
BAR = Bar.above(0.0, "smallest margin of EV, of its gain, and of the fall of the norm")
OTHER_RUN = negative("checkpoint of another seed", other_run)
CONTROLS = (
    OTHER_RUN,
    positive("same checkpoint under a rotation", turned_less_with_depth),
)
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    published=True,
    printed={
        "dyck3": (
            # Of the EV, the smallest of its margins.
            Printed((0.98 - LEAST, 0.999 - LEAST), "seed 0, over all sites", ends=True),
        )
    },
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def distance(pair: Pair) -> float:
    """norm(R - I) / sqrt(2d)."""
    identity = torch.eye(pair.d_model, dtype=torch.float64)
    return (
        float(torch.linalg.matrix_norm(pair.alignment.rotation - identity))
        / (2 * pair.d_model) ** 0.5
    )


def recovered(pair: Pair, explained: Metric, *, own: bool) -> tuple[float, float]:
    """EV after rotation and without, against the source's activations if `own`."""
    tokens = pair.scored
    target, source = pair.target[tokens], pair.source[tokens]
    rotated = pair.alignment.apply(target).float()
    return (
        explained(reconstruct(pair.sae, rotated), source if own else rotated),
        explained(reconstruct(pair.sae, target), source if own else target),
    )


def curve(suite: Suite, site: str, explained: Metric, *, published: bool) -> dict[str, list[float]]:
    """EV at the checkpoints between: of every seed, after rotation."""
    columns = {}
    for index, name in list(enumerate(suite.earlier))[1:]:
        pairs = suite.checkpoint_pairs(site, earlier=index)
        pairs = [pair.on_fit_tokens() if published else pair for pair in pairs]
        both = [recovered(pair, explained, own=not published) for pair in pairs]
        columns[f"EV at {name}"] = [rotated for rotated, _ in both]
    return columns


def margins(
    suite: Suite, world: Checkpoints, explained: Metric, *, published: bool
) -> dict[str, Estimate]:
    def at(site: str) -> list[Pair]:
        """One site's pairs at a time: those of all sites of large models would fill the memory."""
        return [pair.on_fit_tokens() if published else pair for pair in world(suite, site)]

    first, last = ([distance(pair) for pair in at(suite.sites[i])] for i in (0, -1))
    falls = [a - b for a, b in zip(first, last, strict=True)]
    estimates = {}
    for site in suite.sites:
        own = at(site)
        both = [recovered(pair, explained, own=not published) for pair in own]
        values = {
            pair.seeds: min(rotated - LEAST, rotated - naive, fall)
            for pair, (rotated, naive), fall in zip(own, both, falls, strict=True)
        }
        columns = {"EV": [r for r, _ in both], "naive EV": [n for _, n in both]}
        columns["norm(R - I) / sqrt(2d)"] = [distance(pair) for pair in own]
        if world is one_run:
            columns |= curve(suite, site, explained, published=published)
        by_pair = {name: dict(zip(values, c, strict=True)) for name, c in columns.items()}
        estimates[site] = jackknife(values, details=means_beside(by_pair))
    return estimates


def before_and_after(estimates: figures.Worlds) -> list[Figure]:
    curves = (
        ("rotated", Role.MODELS, MODELS, "mean EV"),
        ("as it is", Role.BESIDE, MODELS, "mean naive EV"),
        ("checkpoint of another seed, rotated", Role.NEGATIVE, OTHER_RUN.name, "mean EV"),
    )
    return [
        figures.by_part(
            estimates,
            curves,
            name="checkpoints",
            title="An earlier checkpoint, read by the last one's autoencoder",
            caption="Explained variance at the checkpoint half way through training, before and "
            "after the rotation; mean over seeds.",
            y="reconstruction EV",
        )
    ]


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=one_run: margins(suite, world, ev_published, published=True),
        figures=before_and_after,
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=one_run: margins(suite, world, ev, published=False),
        figures=before_and_after,
    )
