"""X-02: one rotation carries a group SAE as well as one of single directions.

Exploratory: no paper claims it.  In "Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333) a
feature has a group of decoder rows, of which the autoencoder uses a subspace.  "Polymorphism Is
Rotation" (arXiv 2605.24577) shows that after one Procrustes rotation the autoencoder of one seed
can be applied to another, but only for autoencoders of single directions.  Here a group SAE
(GroupTopK) and a TopK SAE of the same width, L0 and recipe are applied to the rotated target at the
last site, on held-out tokens, and scored against the source's own activations as in PIR-23.  The
first part is the EV that the group SAE loses; the second is how much more it loses than the TopK
SAE.  Both have PIR-23's bar.  Where nothing is carried both SAEs may lose equally, so the second is
informative only together with the first.

The details compare autoencoders trained on each model: are the target's groups, once rotated, those
of the source?  A group counts for what it writes.  The same is reported for TopK latents, under a
random rotation, and for two SAE seeds of one model, the most that a rotation can achieve.
"""

from dataclasses import replace

import pytest

from polyrot.capabilities import controls, dictionaries, figures
from polyrot.capabilities.controls import ByKind, for_both_kinds
from polyrot.capabilities.dictionaries import SCALAR, SUBSPACE, GroupAutoencoders
from polyrot.capabilities.pairs import Pair, as_trained
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
AS_TRAINED = for_both_kinds(as_trained)
CONTROLS = (
    negative("untrained seed", for_both_kinds(controls.untrained), CARRIED),
    negative("shuffled tokens", for_both_kinds(controls.shuffled_tokens), CARRIED),
    negative("random rotation", for_both_kinds(controls.random_rotation), CARRIED),
    negative("matched Gaussian", for_both_kinds(controls.matched_gaussian), CARRIED),
    negative("subspaces need another rotation", controls.groups_need_another_rotation, BEYOND),
    positive("Haar world", for_both_kinds(controls.haar_world())),
    positive("noise-matched Haar world", for_both_kinds(controls.noise_matched())),
)
BAR = Bar.at_most(0.025, "EV lost")
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
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    figures=(
        figures.where_controls_apply(LOST, CONTROLS),
        lambda worlds: figures.likeness_by_pairing(worlds[MODELS][CARRIED]),
    ),
)


def ev_lost(pair: Pair, sae: SAE) -> tuple[float, float]:
    """Return the EV that an autoencoder loses on the rotated target, and the EV restored."""
    source, target = pair.source[pair.held_out], pair.target[pair.held_out]
    rotated = pair.carrying.apply(target).float()
    restored = ev(reconstruct(sae, rotated), source)
    return replace(pair, load_sae=lambda: sae).source_ev(ev, held_out=True) - restored, restored


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, group_autoencoders: GroupAutoencoders, judge: Judge) -> None:
    def lost_by_part(pair: Pair, world: ByKind) -> dict[str, Measured]:
        lost: dict[str, float] = {}
        also: dict[str, float] = {}
        for kind, applied in world(pair).items():
            sae = group_autoencoders.dictionary(pair.seeds[0], kind)
            lost[kind], restored = ev_lost(applied, sae)
            if world is AS_TRAINED:
                found = {f"{kind} EV lost": lost[kind], f"{kind} EV rotated": restored}
                found |= dictionaries.likeness(group_autoencoders, pair, kind)
                also |= {f"mean {name}": value for name, value in found.items()}
        beyond = lost[SUBSPACE] - lost[SCALAR]
        return {CARRIED: Measured(lost[SUBSPACE], also), BEYOND: Measured(beyond)}

    def measure(world: ByKind = AS_TRAINED) -> dict[str, Estimate]:
        pairs, details = streams.pairs(streams.late_site), {}
        if world is AS_TRAINED:
            details = {CARRIED: dictionaries.of_one_model(streams, group_autoencoders)}
        return average_by_part(pairs, lambda pair: lost_by_part(pair, world), details=details)

    judge(measure)
