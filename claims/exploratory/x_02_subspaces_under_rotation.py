"""X-02: one rotation carries a dictionary of subspaces as well as one of single directions.

Exploratory: no paper says so.  "Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333) gives a
feature a group of decoder rows, of which the autoencoder uses a subspace; "Polymorphism Is
Rotation" (arXiv 2605.24577) says that one Procrustes rotation lets the autoencoder of one seed
read another, and tried autoencoders of single directions alone.  Two dictionaries of equal columns
and equally many of them on, GroupTopK and TopK of one recipe, read the rotated target at the last
site, on held-out tokens, as in PIR-04.  The first part is PIR-04's question and bar, of the
subspaces; the second is how much more they lose than the single directions: no more than PIR-04
lets a rotation cost at all.  Where nothing is carried both kinds may lose alike: the second part
says something beside the first alone.

The details hold how alike dictionaries are that were trained on each model: are the target's
groups, rotated, those of the source?  A group counts for what it writes: rows that it does not use
have no say.  Beside it the same for columns, under a random rotation, and for two SAE seeds of one
model, which is all that a rotation can be asked for.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import figures
from polyrot.capabilities.dictionaries import KINDS, SCALAR, SUBSPACE
from polyrot.capabilities.likeness import HOW, likeness, of_one_model
from polyrot.capabilities.pairs import Pair, as_trained, means_beside
from polyrot.capabilities.pairs import World as PairWorld
from polyrot.sae.metrics import ev, reconstruct
from polyrot.sae.model import SAE
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "X-02",
    "One rotation carries subspaces as well as single directions",
    "exploratory, of no paper",
    true_in=("haar", "permutation", "partial"),
    false_in=("linear-10", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
CARRIED, BEYOND = PARTS = "subspaces", "beyond single directions"

World = Callable[[str], PairWorld]
"""The world that a pair is in when a kind of dictionary reads it."""


def whoever_reads(world: PairWorld) -> World:
    return lambda kind: world


AS_TRAINED = whoever_reads(as_trained)


def need_another_rotation(kind: str) -> PairWorld:
    """The target is the source under the one rotation for directions, another for subspaces."""
    rotated = worlds.haar_world()
    return rotated if kind == SCALAR else lambda pair: worlds.random_rotation(rotated(pair))


CONTROLS = (
    negative("untrained seed", whoever_reads(worlds.untrained), CARRIED),
    negative("shuffled tokens", whoever_reads(worlds.shuffled_tokens), CARRIED),
    negative("random rotation", whoever_reads(worlds.random_rotation), CARRIED),
    negative("matched Gaussian", whoever_reads(worlds.matched_gaussian), CARRIED),
    negative("subspaces need another rotation", need_another_rotation, BEYOND),
    positive("Haar world", whoever_reads(worlds.haar_world())),
)
BAR = Bar.at_most(0.025, "EV lost")
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def lost(pair: Pair, sae: SAE) -> tuple[float, float]:
    """EV of the source's own activations lost when it is read from the rotated target, and left."""
    source, target = pair.source[pair.held_out], pair.target[pair.held_out]
    rotated = pair.alignment.apply(target).float()
    left = ev(reconstruct(sae, rotated), source)
    return replace(pair, load_sae=lambda: sae).within(ev, held_out=True) - left, left


def what_is_lost(estimates: figures.Worlds) -> Figure:
    shown = {MODELS: estimates[MODELS]}
    for own in CONTROLS:
        known = estimates.get(own.name, {}).items()
        shown[own.name] = {part: estimate for part, estimate in known if own.concerns(part)}
    curves = [
        ("models", Role.MODELS, MODELS, ""),
        ("models, single directions", Role.BESIDE, MODELS, f"mean {SCALAR} EV lost"),
        *((own.name, Role(own.kind), own.name, "") for own in CONTROLS),
    ]
    return figures.by_part(
        shown,
        curves,
        name="lost",
        title="What a rotation costs subspaces",
        caption="Held-out explained variance of the source that its dictionary of subspaces loses "
        "when it reads another seed, rotated, and how much more that is than a dictionary of "
        "single directions loses; mean over pairs.",
        y="EV lost",
        bar=BAR,
    )


def how_alike(estimates: figures.Worlds) -> Figure:
    own = estimates[MODELS][CARRIED]
    series = []
    for kind, label, role in (
        (SUBSPACE, "subspaces", Role.MODELS),
        (SCALAR, "single directions", Role.BESIDE),
    ):
        names = {how: f"mean {kind} overlap, {how}" for how in HOW}
        have = {how: name for how, name in names.items() if name in own.details}
        drawn = (figures.detail_of(own, name) for name in have.values())
        series.append(Series(label, role, tuple(have), *zip(*drawn, strict=True)))
    return Figure(
        "likeness",
        "Another seed's own groups, rotated",
        "How alike what matched groups write is (of subspaces in all of which as much is written, "
        "the mean squared cosine of their principal angles), of dictionaries trained on either "
        "seed; mean over pairs. Two SAE seeds of one model show what a rotation can be asked for; "
        "as they are, both grew from the columns that one SAE seed drew. Hollow: without an "
        "interval.",
        "",
        "overlap",
        Mark.POINTS,
        tuple(series),
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = AS_TRAINED) -> dict[str, Estimate]:
        values: dict[str, dict[tuple[int, int], float]] = {part: {} for part in PARTS}
        beside = of_one_model(suite) if world is AS_TRAINED else {}
        for pair in suite.pairs(suite.late_site):
            chosen = {kind: world(kind) for kind in KINDS}
            placed = {own: own(pair) for own in set(chosen.values())}
            costs = {}
            for kind, own in chosen.items():
                costs[kind], left = lost(placed[own], suite.dictionary(pair.seeds[0], kind))
                if world is AS_TRAINED:
                    read = {f"{kind} EV lost": costs[kind], f"{kind} EV rotated": left}
                    for name, value in (read | likeness(suite, pair, kind)).items():
                        beside.setdefault(name, {})[pair.seeds] = value
            values[CARRIED][pair.seeds] = costs[SUBSPACE]
            values[BEYOND][pair.seeds] = costs[SUBSPACE] - costs[SCALAR]
        details = {CARRIED: means_beside(beside), BEYOND: {}}
        return {part: jackknife(own, details=details[part]) for part, own in values.items()}

    judge(measure, figures=lambda estimates: [what_is_lost(estimates), how_alike(estimates)])
