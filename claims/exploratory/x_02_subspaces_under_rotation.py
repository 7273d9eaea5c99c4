"""X-02: one rotation carries a group SAE as well as one of single directions.

Exploratory: no paper claims it.  In "Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333) a
feature has a group of decoder rows, of which the autoencoder uses a subspace.  "Polymorphism Is
Rotation" (arXiv 2605.24577) shows that after one Procrustes rotation the autoencoder of one seed
can be applied to another, and tried only autoencoders of single directions.  Two autoencoders of
the same width, L0 and recipe, GroupTopK and TopK, are applied to the rotated target at the last
site, on held-out tokens, as in PIR-04.  The first part asks PIR-04's question of the group SAE,
with the same bar.  The second is how much more EV the group SAE loses than the TopK SAE; its bar
is the loss that PIR-04 allows a rotation.  Where nothing is carried both may lose equally, so the
second part is informative only together with the first.

The details compare autoencoders that were trained on each model: are the target's groups, once
rotated, those of the source?  A group counts for what it writes, so unused decoder rows are
ignored.  The same is reported for TopK latents, under a random rotation, and for two SAE seeds of
one model, which is the most that a rotation can be expected to achieve.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.dictionaries import (
    KINDS,
    SCALAR,
    SUBSPACE,
    GroupAutoencoders,
    likeness,
    of_one_model,
)
from polyrot.capabilities.figures import likeness_by_pairing
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.pairs import World as PairWorld
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.sae.metrics import ev, reconstruct
from polyrot.sae.model import SAE

CLAIM = Claim(
    "X-02",
    "One rotation carries subspaces as well as single directions",
    "exploratory, of no paper",
    true_in=("haar", "permutation", "partial"),
    false_in=("linear-10", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
CARRIED, BEYOND = "subspaces", "beyond single directions"
World = Callable[[Pair], dict[str, Pair]]
"""The pair to which each kind of autoencoder is applied."""


def for_both(world: PairWorld) -> World:
    return lambda pair: dict.fromkeys(KINDS, world(pair))


AS_TRAINED = for_both(as_trained)


def need_another_rotation(pair: Pair) -> dict[str, Pair]:
    """The target is the source under one rotation for single directions, another for groups."""
    rotated = controls.haar_world()(pair)
    return {SCALAR: rotated, SUBSPACE: controls.random_rotation(rotated)}


CONTROLS = (
    negative("untrained seed", for_both(controls.untrained), CARRIED),
    negative("shuffled tokens", for_both(controls.shuffled_tokens), CARRIED),
    negative("random rotation", for_both(controls.random_rotation), CARRIED),
    negative("matched Gaussian", for_both(controls.matched_gaussian), CARRIED),
    negative("subspaces need another rotation", need_another_rotation, BEYOND),
    positive("Haar world", for_both(controls.haar_world())),
)
BAR = Bar.at_most(0.025, "EV lost")
HARDENED = Measurement(CLAIM, BAR, CONTROLS)
LOST = ByPart(
    "lost",
    title="What a rotation costs group SAEs",
    caption="Held-out explained variance of the source lost when its group SAE is applied to "
    "another seed, rotated, and how much more that is than a TopK SAE loses; mean over pairs.",
    y="EV lost",
    curves=(
        Curve("models", Role.MODELS),
        Curve("models, single directions", Role.BESIDE, detail=f"mean {SCALAR} EV lost"),
        *control_curves(CONTROLS),
    ),
    bar=BAR,
)


def ev_lost(pair: Pair, sae: SAE) -> tuple[float, float]:
    """EV of the source lost when an autoencoder is applied to the rotated target, and the rest."""
    source, target = pair.source[pair.held_out], pair.target[pair.held_out]
    rotated = pair.alignment.apply(target).float()
    restored = ev(reconstruct(sae, rotated), source)
    return replace(pair, load_sae=lambda: sae).source_ev(ev, held_out=True) - restored, restored


def ev_lost_by_part(
    streams: Streams, trained: GroupAutoencoders, world: World
) -> dict[str, Estimate]:
    def measure(pair: Pair) -> dict[str, Measured]:
        applied = world(pair)
        lost: dict[str, float] = {}
        also: dict[str, float] = {}
        for kind in KINDS:
            sae = trained.dictionary(pair.seeds[0], kind)
            lost[kind], restored = ev_lost(applied[kind], sae)
            if world is AS_TRAINED:
                found = {f"{kind} EV lost": lost[kind], f"{kind} EV rotated": restored}
                found |= likeness(trained, pair, kind)
                also |= {f"mean {name}": value for name, value in found.items()}
        return {
            CARRIED: Measured(lost[SUBSPACE], also),
            BEYOND: Measured(lost[SUBSPACE] - lost[SCALAR]),
        }

    details = {CARRIED: of_one_model(streams, trained)} if world is AS_TRAINED else {}
    return average_by_part(streams.pairs(streams.late_site), measure, details=details)


def where_controls_apply(worlds: Worlds) -> list[Figure]:
    shown = {MODELS: worlds[MODELS]}
    for control in CONTROLS:
        known = worlds.get(control.name, {}).items()
        shown[control.name] = {part: found for part, found in known if control.concerns(part)}
    return LOST(shown)


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, group_autoencoders: GroupAutoencoders, judge: Judge) -> None:
    judge(
        lambda world=AS_TRAINED: ev_lost_by_part(streams, group_autoencoders, world),
        figures=[where_controls_apply, lambda worlds: likeness_by_pairing(worlds[MODELS][CARRIED])],
    )
