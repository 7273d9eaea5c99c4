"""Synthetic suites: each world holds what its name says, and runs like any suite."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy_claim import run_own_claims

import polyrot as pr
from polyrot.capabilities.streams import LATE_SITE, Checkpoints
from polyrot.errors import NotRun
from polyrot.experiments.addition.worlds import ADDITION_WORLDS, DELAY_WORLDS
from polyrot.experiments.agreement.worlds import VERB_WORLDS
from polyrot.experiments.chains.worlds import CHAIN_WORLDS
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.synthetic import worlds as synthetic
from polyrot.experiments.synthetic.worlds import ACTIVATION_WORLDS, D_MODEL
from polyrot.sae.metrics import l0, reconstruct
from polyrot.suites.registry import suite_names, worlds


@lru_cache
def activations(world: str) -> Tensor:
    return pr.load_suite(f"world:{world}").activations.at(LATE_SITE)


def explained(world: str, group: str = "O") -> float:
    """Held-out EV of the first seed by the second."""
    source, target = activations(world)[1], activations(world)[0]
    return pr.align(source, target, group=group).ev


def condition_numbers(world: str) -> Tensor:
    """Of the linear maps between all seeds, as least squares finds them."""
    centred = [x.double() - x.double().mean(0) for x in activations(world)]
    maps = [torch.linalg.lstsq(x, y).solution for i, x in enumerate(centred) for y in centred[:i]]
    return torch.stack([torch.linalg.cond(m) for m in maps])


def test_worlds_are_named_by_their_kind() -> None:
    kinds = {
        "chain": CHAIN_WORLDS,
        "addition": ADDITION_WORLDS,
        "delay": DELAY_WORLDS,
        "verb": VERB_WORLDS,
    }
    for kind, table in kinds.items():
        assert all(name.startswith(f"{kind}-") for name in table)
    assert not any(name.startswith(tuple(kinds)) for name in ACTIVATION_WORLDS)


@pytest.mark.parametrize(
    "world",
    [
        "haar",
        "identity",
        "mean-shift-only",
        "permutation",
        "signed-permutation",
        "partial",
        "basis-aligned-axes",
    ],
)
def test_a_rotation_explains_all_where_seeds_differ_by_one(world: str) -> None:
    assert explained(world) > 0.999


@pytest.mark.parametrize("world", ["unrelated", "shuffled-tokens", "gaussian-matched"])
@pytest.mark.seconds
def test_no_rotation_explains_anything_where_nothing_is_shared(world: str) -> None:
    assert explained(world) < -0.5
    assert explained(world, "affine") < 0.05


@pytest.mark.seconds
def test_noise_costs_what_it_should() -> None:
    # Signal 1 and noise s^2 in both: the residual is 2 s^2 of 1 + s^2.
    for share in (0.1, 0.3, 1.0):
        expected = 1 - 2 * share**2 / (1 + share**2)
        assert explained(f"noise-{share:g}") == pytest.approx(expected, abs=0.02)


@pytest.mark.seconds
def test_a_linear_world_is_affine_and_not_orthogonal() -> None:
    for condition in (3, 10):
        found = condition_numbers(f"linear-{condition}")
        assert found.median() == pytest.approx(condition ** (4 / 3), rel=0.1)
        assert found.max() < 1.2 * condition ** (4 / 3)
    lost = {c: explained(f"linear-{c}", "affine") - explained(f"linear-{c}") for c in (3, 10)}
    assert explained("linear-10", "affine") > 0.99
    assert 0.01 < lost[3] < lost[10]


@pytest.mark.parametrize(
    ("world", "fixed"), [("identity", 64), ("partial", 32), ("basis-aligned-axes", 3), ("haar", 0)]
)
def test_the_axes_that_stay_are_those_that_should(world: str, fixed: int) -> None:
    a, b = activations(world)[:2]
    a, b = a - a.mean(0), b - b.mean(0)
    same = (a * b).sum(0) / (a.norm(dim=0) * b.norm(dim=0)) > 0.99
    assert int(same.sum()) == fixed


@pytest.mark.parametrize("world", ["permutation", "signed-permutation"])
def test_the_fitted_rotation_is_the_permutation(world: str) -> None:
    source, target = activations(world)[:2]
    rotation = pr.align(source, target).rotation
    nearest = pr.nearest_signed_permutation(rotation)
    assert float((rotation - nearest).norm()) < 0.2
    assert bool((nearest < 0).any()) is (world == "signed-permutation")


def test_matched_gaussians_have_the_covariance_and_nothing_else() -> None:
    real, gaussian = activations("haar")[0], activations("gaussian-matched")[0]
    spectra = [torch.linalg.eigvalsh(torch.cov(x.mT)) for x in (real, gaussian)]
    assert torch.allclose(*spectra, rtol=0.1, atol=0.01)
    # Excess kurtosis of a projection: sparse features have it, a Gaussian has none.
    kurtosis = [float(((x - x.mean(0)) / x.std(0)).pow(4).mean()) - 3 for x in (real, gaussian)]
    assert kurtosis[0] > 1
    assert abs(kurtosis[1]) < 0.1


@pytest.mark.training
def test_the_covariance_falls_off_and_an_autoencoder_finds_sparse_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(synthetic, "RECIPE", replace(synthetic.RECIPE, steps=300))
    suite = pr.load_suite("world:haar")
    x = activations("haar")[2]
    spectrum = torch.linalg.eigvalsh(torch.cov(x.mT)).flip(0)
    assert float(spectrum[0] / spectrum[D_MODEL // 2]) > 10
    for sae_seed in (0, suite.sae_seed(2)):
        sae = suite.sae(2, LATE_SITE, sae_seed)
        assert pr.ev(reconstruct(sae, x), x) > 0.9
        assert l0(sae, x) < sae.features / 4


def test_a_draw_is_a_function_of_its_number() -> None:
    again = pr.load_suite("world:haar").activations.at(LATE_SITE)
    assert torch.equal(again, activations("haar"))
    other = pr.load_suite("world:haar:1")
    assert other.name == "world:haar:1"
    assert not torch.equal(other.activations.at(LATE_SITE), again)


def test_what_a_world_lacks_is_not_run() -> None:
    suite = pr.load_suite("world:identity")
    with pytest.raises(NotRun, match="world:identity has no models of the Dyck-3 task"):
        suite.get(DyckModels)
    with pytest.raises(NotRun, match="world:identity has no earlier checkpoints of its"):
        suite.get(Checkpoints)


def test_every_world_is_a_suite_and_nothing_else_is() -> None:
    assert {f"world:{world}" for world in worlds()} < set(suite_names())
    for name in ("world:flat", "world:haar:x", "haar"):
        with pytest.raises(ValueError, match="Expected a suite "):
            pr.load_suite(name)


@pytest.mark.seconds
def test_claims_run_on_a_world_as_on_any_suite(pytester: pytest.Pytester, tmp_path: Path) -> None:
    chosen = ("-k", "PIR-05 or PIR-01", "--suite", "world:haar", "--report-dir", str(tmp_path))
    done = run_own_claims(pytester, *chosen)
    assert done.ret == 0, done.stdout.str()
    assert "verdicts on world:haar" in done.stdout.str()
    verdicts = pr.read_verdict(tmp_path / "world-haar" / "verdict.json").verdicts
    assert verdicts == {"PIR-05": "REPLICATED"}  # PIR-01 is about models, and is not asked
