"""Training by the rules that go by autograd, dead features, the nuclear penalty, checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from planted_features import normal, planted
from torch import Tensor

import polyrot as pr
from polyrot.sae.activations import JumpReLU
from polyrot.sae.autograd_gradients import batch_topk_gradients, threshold_gradients
from polyrot.sae.metrics import ev, l0, reconstruct
from polyrot.sae.recipe import BatchTopK, LearnedThresholds, Rule, SAEConfig
from polyrot.sae.training import SAEStack, initial_weights, train_saes

DIRECTIONS = torch.nn.functional.normalize(normal(32, 16, seed=0).float(), dim=1)
DATA = planted(4_000, DIRECTIONS, 2, seed=1)
MATRYOSHKA = BatchTopK(2, prefixes=(0.25, 0.5, 1.0))
SHORT = SAEConfig(expansion=4, steps=800, batch=256, learning_rate=5e-3)


def trained(rule: Rule, **options: object) -> pr.SAE:
    return train_saes([DATA], [replace(SHORT, activation=rule, **options)])[0]


@pytest.mark.parametrize("rule", [BatchTopK(2), LearnedThresholds(l0=0.02, start=0.1)])
@pytest.mark.training
def test_rules_recover_planted_features(rule: Rule) -> None:
    sae = trained(rule)
    assert isinstance(sae.activation, JumpReLU)
    best = (DIRECTIONS @ sae.W_dec.T).amax(1)
    assert ev(reconstruct(sae, DATA), DATA) > 0.85
    assert l0(sae, DATA) < 5
    assert float((best > 0.9).float().mean()) > 0.7


@pytest.mark.training
def test_the_threshold_of_a_batch_leaves_about_k_features_on() -> None:
    assert l0(trained(BatchTopK(2)), DATA) == pytest.approx(2, abs=0.3)


@pytest.mark.training
def test_a_prefix_alone_explains_more_where_the_loss_asks_it() -> None:
    def explained_by_a_quarter(sae: pr.SAE) -> float:
        features = sae.encode(DATA)
        features[:, len(sae.W_dec) // 4 :] = 0
        return ev(sae.decode(features), DATA)

    assert explained_by_a_quarter(trained(MATRYOSHKA)) > 0.1 + explained_by_a_quarter(
        trained(BatchTopK(2))
    )


def test_a_batch_keeps_its_largest_and_all_else_is_differentiated_as_if_absent() -> None:
    weights = {n: w[None] for n, w in initial_weights(SHORT, 16).items()}
    x = DATA[None, :50]
    pre = torch.relu((x[0] - weights["b_dec"][0]) @ weights["W_enc"][0] + weights["b_enc"][0])
    on = pre >= pre.flatten().topk(100).values[-1]
    own = {n: w[0].clone().requires_grad_() for n, w in weights.items()}
    hidden = torch.relu((x[0] - own["b_dec"]) @ own["W_enc"] + own["b_enc"]) * on
    (hidden @ own["W_dec"] + own["b_dec"] - x[0]).square().mean().backward()
    for name, gradient in batch_topk_gradients(weights, x, BatchTopK(2)).items():
        torch.testing.assert_close(gradient[0], own[name].grad, msg=name)


def test_thresholds_move_as_the_kernel_says() -> None:
    """One feature, one token at the threshold: both derivatives by hand."""
    rule = LearnedThresholds(l0=0.3, bandwidth=0.5, start=1.0)
    weights = {
        "W_enc": torch.ones(1, 1, 1),
        "b_enc": torch.zeros(1, 1),
        "W_dec": torch.ones(1, 1, 1),
        "b_dec": torch.zeros(1, 1),
        "log_threshold": torch.zeros(1, 1),
    }
    found = threshold_gradients(weights, torch.tensor([[[1.1]]]), rule)
    # On, and reconstructed exactly: only the penalty moves the threshold, by -l0 / bandwidth.
    assert float(found["log_threshold"]) == pytest.approx(-0.3 / 0.5)
    found = threshold_gradients(weights, torch.tensor([[[0.9]]]), rule)
    # Off: the error of -0.9 would fall if the feature came on, by 2 * 0.9 * threshold / bandwidth.
    assert float(found["log_threshold"]) == pytest.approx(2 * 0.9 / 0.5 - 0.3 / 0.5)
    far = threshold_gradients(weights, torch.tensor([[[1.6]]]), rule)
    assert float(far["log_threshold"]) == 0


@pytest.mark.parametrize("rule", [pr.TopK(2), pr.GroupTopK(8, 2), BatchTopK(2)])
@pytest.mark.training
def test_features_that_died_come_back(rule: Rule) -> None:
    """Half the features look where no activation is."""
    data = torch.nn.functional.pad(DATA, (0, 4))
    config = replace(SHORT, expansion=3, activation=rule, steps=300)

    def alive(config: SAEConfig) -> int:
        stack = SAEStack([data], [config])
        with torch.no_grad():
            stack.weights["W_enc"][:, :16, 30:] = 0
            stack.weights["W_dec"][:, 30:, 16:] = 0
        for _ in range(config.steps):
            stack.step()
        (sae,) = stack.autoencoders()
        return int((sae.encode(data) != 0).any(0)[30:].sum())

    assert alive(replace(config, auxiliary=16, dead_after=20)) > 5 + alive(config)


@pytest.mark.training
def test_the_nuclear_penalty_lowers_the_rank_of_groups() -> None:
    config = replace(SHORT, activation=pr.GroupTopK(2, 4), steps=400)

    def rank(sae: pr.SAE) -> float:
        energy = torch.linalg.svdvals(sae.W_dec.unflatten(0, (-1, 4))).square()
        return float((energy.sum(1) / energy.amax(1)).mean())

    free = rank(train_saes([DATA], [config])[0])
    for of in ("decoder", "composition"):
        (held,) = train_saes([DATA], [replace(config, nuclear=10.0, nuclear_of=of)])
        assert rank(held) < 0.7 * free


RECIPES = [
    SHORT,
    replace(SHORT, activation=pr.TopK(2), auxiliary=16, dead_after=5, decay=0.5),
    replace(SHORT, activation=pr.GroupTopK(2, 2), nuclear=0.1, auxiliary=16, dead_after=5),
    replace(SHORT, activation=MATRYOSHKA, auxiliary=16, dead_after=5),
    replace(SHORT, activation=LearnedThresholds(0.01)),
]


@pytest.mark.parametrize("config", RECIPES, ids=lambda c: type(c.activation).__name__)
def test_an_interrupted_training_goes_on_to_the_bit(config: SAEConfig) -> None:
    config = replace(config, steps=30)
    whole, first, second = (SAEStack([DATA] * 2, [config] * 2) for _ in range(3))
    for _ in range(30):
        whole.step()
    for _ in range(12):
        first.step()
    second.restore(first.state())
    assert second.steps == 12
    for _ in range(18):
        second.step()
    for name, weight in whole.weights.items():
        assert torch.equal(weight, second.weights[name]), name


def test_a_training_that_is_killed_is_taken_up_where_it_was(tmp_path: Path) -> None:
    config = replace(RECIPES[2], steps=30)
    file = tmp_path / "training.pt"
    steps: list[int] = []

    def note(share: float, what: str) -> None:
        steps.append(round(30 * share))

    def kill(share: float, what: str) -> None:
        note(share, what)
        if what == "step 11 of 30":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_saes([DATA], [config], checkpoint=file, progress=kill)
    (resumed,) = train_saes([DATA], [config], checkpoint=file, progress=note)
    assert steps == list(range(1, 31))
    assert not file.exists()
    (whole,) = train_saes([DATA], [config])
    assert torch.equal(resumed.W_dec, whole.W_dec)


@pytest.mark.parametrize("config", RECIPES, ids=lambda c: type(c.activation).__name__)
def test_nothing_couples_a_stack(config: SAEConfig) -> None:
    other = planted(3_000, DIRECTIONS.flip(0), 3, seed=2)
    configs = [replace(config, steps=20), replace(config, steps=20, seed=4)]
    together = train_saes([DATA, other], configs, block=64)
    alone = [train_saes([x], [c], block=64)[0] for x, c in zip([DATA, other], configs, strict=True)]
    for one, two in zip(together, alone, strict=True):
        torch.testing.assert_close(one.W_dec, two.W_dec, rtol=1e-4, atol=1e-5)


def test_the_rate_falls_to_nothing_over_the_last_steps() -> None:
    stack = SAEStack([DATA], [replace(SHORT, activation=pr.TopK(2), steps=10, decay=0.5)])
    moved: list[float] = []
    for _ in range(10):
        before: Tensor = stack.weights["b_dec"].detach().clone()
        stack.step()
        moved.append(float((stack.weights["b_dec"].detach() - before).abs().max()))
    assert moved[-1] < 0.4 * moved[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"nuclear": 1.0}, "Expected nuclear=0 without groups"),
        ({"auxiliary": 4}, "Expected auxiliary=0 with ReLU"),
        ({"decay": 1.5}, r"Expected decay in \[0, 1\]"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SAEConfig(**options)


@pytest.mark.parametrize("prefixes", [(), (0.5,), (0.5, 0.2, 1.0), (0.0, 1.0), (1.0, 1.0)])
def test_prefixes_are_nested_and_end_with_all(prefixes: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="prefixes"):
        SAEStack([DATA], [replace(SHORT, activation=BatchTopK(2, prefixes))])
