"""PIR-14: the same account holds across checkpoints of one run.

"Polymorphism Is Rotation" (arXiv 2605.24577): between two checkpoints of one training run, a
rotation lets the autoencoder of one reconstruct the other better than without, on the toy models
with an EV of at least 0.98; and from the first site to the last the rotation comes closer to the
identity.  Each of the three is a part.  The paper shows one pair of checkpoints of one seed; here
every seed gives one: its last checkpoint and an earlier one, from half way through training unless
the suite file names another.

As published, the autoencoder of the earlier checkpoint reads the later one, from the embedding on,
and the EV after the rotation has the variance before it as its denominator.  Hardened: the last
checkpoint's autoencoder, held-out tokens, a rotation and one scale, and the EV is compared with the
autoencoder's own.  Further checkpoints that a suite has are in the details.

In the first positive control the angles of a rotation shrink with depth, so that all three parts
are true.
"""

from collections.abc import Callable
from functools import partial

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair
from polyrot.capabilities.rotations import relative_norm
from polyrot.capabilities.streams import Checkpoints
from polyrot.claim import *
from polyrot.experiments.dyck.suite import HALF_WAY_SITES
from polyrot.sae.metrics import ev, ev_published, reconstruct

CLAIM = Claim(
    "PIR-14",
    "The account holds across checkpoints of one run",
    "arXiv 2605.24577, cross-checkpoint",
    {
        "dyck3": "naive EV 0.90-0.95, rotated 0.98-0.999; norm 10.4 to 2.9 (seed 0)",
        "pythia-checkpoints": "layer 3: naive EV -0.86, rotated 0.73; norm(R - I) 16.81",
    },
)
RESTORED, GAIN, NORM = "EV", "gain", "norm"
OTHER_RUN = negative("checkpoint of another seed", controls.other_run, RESTORED)
CONTROLS = (
    OTHER_RUN,
    negative("random rotation of the same checkpoint", controls.wrongly_turned, GAIN),
    negative("turned more with depth", controls.turned_more_with_depth, NORM),
    positive("same checkpoint under a rotation", controls.turned_less_with_depth),
    positive("noise-matched Haar world", controls.noise_matched_checkpoint, RESTORED, GAIN),
)
EV, NAIVE, DISTANCE = "mean EV", "mean naive EV", "mean norm(R - I) / sqrt(2d)"
BEFORE_AND_AFTER = ByPart(
    "checkpoints",
    title="Another checkpoint, reconstructed",
    caption="How much of another checkpoint's variance an autoencoder explains, before and after "
    "the rotation; mean over seeds.",
    y="reconstruction EV",
    curves=(
        Curve("rotated", Role.MODELS, detail=EV),
        Curve("as it is", Role.BESIDE, detail=NAIVE),
        Curve("checkpoint of another seed, rotated", Role.NEGATIVE, OTHER_RUN.name, EV),
    ),
)
PRINTED = Printed(
    (0.98, 0.999),
    "seed 0, over all sites",
    tuple(f"{site}, {RESTORED}" for site in HALF_WAY_SITES),
    ends=True,
)
BETTER = Bar.above(0.0, "EV after the rotation less that before")
NEARER = Bar.above(0.0, "fall of norm(R - I) / sqrt(2d) from the first site to the last")
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(0.98, "EV after the rotation", scale=Scale.LOG_LOST),
    CONTROLS,
    published=True,
    printed={"dyck3": (PRINTED,)},
    part_bars={GAIN: BETTER, NORM: NEARER},
    figures=(BEFORE_AND_AFTER,),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_most(0.02, "own EV less that after the rotation"),
    CONTROLS,
    part_bars={GAIN: BETTER, NORM: NEARER},
    figures=(BEFORE_AND_AFTER,),
)

Pairs = Callable[..., list[Pair]]
one_run = Checkpoints.checkpoint_pairs


def measured(checkpoints: Checkpoints, pairs: Pairs, *, published: bool) -> dict[str, Estimate]:
    """Average each part over pairs of checkpoints, site by site."""
    sites = checkpoints.checkpoint_sites if published else checkpoints.sites
    found: dict[str, Estimate] = {}
    distances: list[dict[tuple[int, int], float]] = []
    for site in sites:
        # One site at a time: the pairs of all sites of large models would fill the memory.
        here = [taken(pair, published) for pair in pairs(checkpoints, site, published=published)]
        distances.append({pair.seeds: distance(pair) for pair in here})
        also = evs_at_others(checkpoints, site, published) if pairs is one_run else {}
        parts = average_by_part(here, partial(by_part, published, also))
        found |= {f"{site}, {part}": estimate for part, estimate in parts.items()}
    fall = {seeds: distances[0][seeds] - last for seeds, last in distances[-1].items()}
    return found | {NORM: average(fall, fall.__getitem__)}


def taken(pair: Pair, published: bool) -> Pair:
    return pair.as_published() if published else pair


def by_part(
    published: bool, others: dict[str, dict[tuple[int, int], float]], pair: Pair
) -> dict[str, Measured]:
    rotated, naive = recovered(pair, published)
    also = {EV: rotated, NAIVE: naive, DISTANCE: distance(pair)}
    also |= {name: evs[pair.seeds] for name, evs in others.items()}
    restored = rotated if published else pair.source_ev(ev, held_out=True) - rotated
    return {RESTORED: Measured(restored, also), GAIN: Measured(rotated - naive)}


def distance(pair: Pair) -> float:
    return relative_norm(pair.alignment.rotation)


def recovered(pair: Pair, published: bool) -> tuple[float, float]:
    """EV by the source's autoencoder of what the target shows, rotated and as it is."""
    target = pair.target[pair.scored]
    rotated = pair.carrying.apply(target).float()
    if not published:
        return ev(reconstruct(pair.sae, rotated), rotated), ev(
            reconstruct(pair.sae, target), target
        )
    missed = (reconstruct(pair.sae, rotated).double() - rotated.double()).square().mean()
    naive = ev_published(reconstruct(pair.sae, target), target)
    return float(1 - missed / target.double().var()), naive


def evs_at_others(
    checkpoints: Checkpoints, site: str, published: bool
) -> dict[str, dict[tuple[int, int], float]]:
    """EV after the rotation at the suite's further checkpoints, by pair."""
    result = {}
    for earlier, name in enumerate(checkpoints.earlier[1:], start=1):
        pairs = one_run(checkpoints, site, earlier=earlier, published=published)
        evs = {p.seeds: recovered(taken(p, published), published)[0] for p in pairs}
        result[f"{EV} at {name}"] = evs
    return result


@pytest.mark.measurement(PUBLISHED)
def test_published(checkpoints: Checkpoints, judge: Judge) -> None:
    judge(lambda pairs=one_run: measured(checkpoints, pairs, published=True))


@pytest.mark.measurement(HARDENED)
def test_hardened(checkpoints: Checkpoints, judge: Judge) -> None:
    judge(lambda pairs=one_run: measured(checkpoints, pairs, published=False))
