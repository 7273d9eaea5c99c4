"""Steering vectors and what they change, by hand and against full runs."""

import numpy as np
import planted
import pytest
import torch
from torch import Tensor

import polyrot as pr
from polyrot.capabilities.sharing import Sharing
from polyrot.errors import NotRun
from polyrot.interventions.edit import adding
from polyrot.interventions.steering import CONCEPTS, difference_of_means, divergence, steer
from polyrot.models.harvest import harvest, predict, real_labels
from polyrot.models.transformer import HEADS, StackedTransformer, TransformerConfig, stack_states
from polyrot.suites.suite import Suite
from polyrot.tasks import dyck

SITE = "resid_mid.1"
ALPHAS = (0.5, 2.0)
DEPTH = CONCEPTS[1]


@pytest.fixture(scope="module")
def models() -> StackedTransformer:
    states = [planted.random_model(seed) for seed in (0, 1)]
    return StackedTransformer(TransformerConfig(), stack_states(states))


@pytest.fixture(scope="module")
def batch() -> dyck.LabelledSequences:
    return dyck.sample_short(48, rng=np.random.default_rng(0))


def test_a_difference_of_means_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 10.0], [5.0, 5.0]])
    toward = torch.tensor([True, True, False, False])
    away = torch.tensor([False, False, True, False])
    assert difference_of_means(x, toward, away).tolist() == [2.0, -9.0]
    assert difference_of_means(x[None], toward, away).shape == (1, 2)


def test_a_concept_without_tokens_is_refused() -> None:
    none = torch.zeros(4, dtype=torch.bool)
    with pytest.raises(ValueError, match="Expected away to choose at least one token"):
        difference_of_means(torch.zeros(4, 2), ~none, none)


def test_concepts_choose_the_tokens_they_name() -> None:
    # ( [ ( ( ( ) ( ]  : depths 1 2 3 4 5 4 5, then an error that freezes the depth
    content = [3, 5, 3, 3, 3, 4, 3, 6]
    labels = real_labels(dyck.label(np.array([[dyck.BOS, *content, dyck.EOS]])))
    sticky, depth, closer = CONCEPTS
    where = [concept.toward(labels).nonzero().flatten().tolist() for concept in CONCEPTS]
    assert labels["depth"].tolist() == [0, 1, 2, 3, 4, 5, 4, 5, 5, 5]
    assert where == [[4, 6], [5, 7, 8, 9], [6, 8]]
    assert depth.away(labels).nonzero().flatten().tolist() == [4, 6]
    assert closer.away(labels).nonzero().flatten().tolist() == [1, 2, 3, 4, 5, 7]
    assert not sticky.away(labels).any()
    assert depth.asked(torch.tensor([4])).tolist() == [5]
    assert closer.asked(torch.tensor([3, 5, 7])).tolist() == [4, 6, 8]
    assert sticky.asked(torch.tensor([1])).tolist() == [0]


def test_steering_selected_tokens_equals_adding_the_vector_everywhere(
    models: StackedTransformer, batch: dyck.LabelledSequences
) -> None:
    labels = real_labels(batch)
    x = harvest(models, batch, (SITE,)).at(SITE)
    vectors = torch.randn(2, 64, generator=planted.generator(1))
    where = DEPTH.away(labels)
    true = labels["depth"][where]
    found = steer(
        models, SITE, x[:, where], vectors, head="depth", true=true, asked=true + 1, alphas=ALPHAS
    )
    clean = predict(models, batch)
    for i, alpha in enumerate(ALPHAS):
        with adding(models, SITE, alpha * vectors):
            steered = predict(models, batch)
        for seed in range(2):
            before, after = (logits["depth"][seed, where] for logits in (clean, steered))
            assert found.drop[i, seed] == pytest.approx(right(before, 4) - right(after, 4))
            lead = (margin(after, 5) - margin(before, 5)).mean()
            assert found.margin[i, seed] == pytest.approx(float(lead), rel=1e-4, abs=1e-4)
    by_head = []
    for head in HEADS:  # at the largest dose
        p, q = (logits[head].double().log_softmax(-1) for logits in (clean, steered))
        by_head.append((p.exp() * (p - q)).sum(-1).mean(-1))
    whole = divergence(models, SITE, x, vectors, ALPHAS)[-1]
    torch.testing.assert_close(whole, torch.stack(by_head).mean(0), rtol=1e-4, atol=1e-5)


def right(logits: Tensor, label: int) -> float:
    return float((logits.argmax(-1) == label).double().mean())


def margin(logits: Tensor, label: int) -> Tensor:
    others = [k for k in range(logits.shape[-1]) if k != label]
    return logits[:, label] - logits[:, others].mean(-1)


def test_a_dose_of_nothing_changes_nothing(
    models: StackedTransformer, batch: dyck.LabelledSequences
) -> None:
    x = harvest(models, batch, (SITE,)).at(SITE)
    true = real_labels(batch)["token"]
    nothing = torch.zeros(2, 64)
    found = steer(
        models, SITE, x, nothing, head="token", true=true, asked=true.clamp(max=8), alphas=(1.0,)
    )
    assert found.drop.abs().max() == 0
    assert found.margin.abs().max() == 0
    assert divergence(models, SITE, x, nothing, (1.0,)).abs().max() < 1e-12


def test_a_claim_about_other_sharing_is_not_run_and_says_why() -> None:
    shared = pr.load_suite("dyck3")
    shared.check_sharing(shared_io=True)
    with pytest.raises(NotRun, match="share nothing; those of dyck3 share their"):
        shared.check_sharing(shared_io=False)
    with pytest.raises(NotRun, match="toy has no models whose embeddings can be compared"):
        Suite("toy", (0,)).get(Sharing)


def test_a_suite_loads_the_cohort_it_is_compared_with() -> None:
    independent = pr.load_suite("dyck3-independent")
    short = independent.cohort("dyck3-short")
    assert short.seeds == len(independent.seeds)
    assert independent.cohort("dyck3-short") is short
    assert not torch.equal(short.weight("W_E"), independent.models.weight("W_E"))
