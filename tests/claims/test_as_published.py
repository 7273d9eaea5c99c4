"""The published measurements on shipped models give what the authors' own functions give there.

Those functions were run, unmodified, on the shipped weights; the numbers are theirs.
"""

import pytest
from claim_runs import claim_module

import polyrot as pr
from polyrot.bars import correlation
from polyrot.capabilities import steering
from polyrot.capabilities.steering import Steered
from polyrot.experiments.dyck import components, functions
from polyrot.interventions.attribution import attribution_patching
from polyrot.interventions.effects import ablation_effects
from polyrot.tasks.dyck_released import sample_as_released

KL = {
    "dyck3": (3.5e-4, 7.6e-4, 6.1e-4, 9.4e-4),
    "dyck3-independent": (0.82e-4, 0.69e-4, 1.33e-4, 1.86e-4),
}


@pytest.mark.parametrize("name", KL)
def test_divergence_on_the_papers_sequences(name: str) -> None:
    divergence = claim_module("PIR-01").divergence
    pairs = functions.prediction_pairs(
        pr.load_suite(name),
        sample_as_released(8, 256, seed=99),
        functions.as_trained,
        anchored=True,
    )
    found = [divergence(pair).value for pair in pairs]
    assert found == pytest.approx(KL[name], abs=0.6e-5 if name == "dyck3" else 0.6e-6)


def test_steering_in_three_regimes() -> None:
    steered = pr.load_suite("dyck3").get(Steered)
    curves = claim_module("PIR-11").curves
    means: dict[str, list[list[float]]] = {}
    for concept in steered.concepts:
        both = [
            curves(steered, steering.uncarried, concept, pair, published=True)
            for pair in steered.pairs(anchored=True)
        ]
        means[concept.name] = [
            [sum(pair[which][alpha] for pair in both) / len(both) for alpha in steering.ALPHAS]
            for which in (1, 0)
        ]
    close = {"rel": 0, "abs": 6e-5}
    within, across = means["closer"]
    assert within == pytest.approx([0.0, 0.0163, 0.1203, 0.4897], **close)
    assert across == pytest.approx([0.0341, 0.2136, 0.4671, 0.6308], **close)
    within, across = means["depth"]
    assert within == pytest.approx([0.1332, 0.7284, 0.8994, 1.0], **close)
    assert across == pytest.approx([0.0029, 0.2985, 0.7522, 0.8844], **close)
    within, across = means["sticky-invalid"]
    assert within == pytest.approx([0.0802, 0.9599, 1.0, 1.0], **close)
    assert across == pytest.approx([0.0010, 0.3578, 0.9962, 1.0], **close)


def test_attribution_patching_on_the_papers_sequences() -> None:
    subject = components.published_subject(pr.load_suite("dyck3").models)
    predicted, measured = (
        measure(subject.model, subject.means, subject.inputs)
        for measure in (attribution_patching, ablation_effects)
    )
    # Sums of large terms of either sign: the means, of float32, move the second digit.
    r = correlation(predicted, measured).tolist()
    assert r == pytest.approx([-0.231, 0.157, -0.305, -0.606, -0.196], abs=0.03)
