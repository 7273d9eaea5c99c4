"""Tests of the testers: each wrong version of the library is caught by a named test.

A mutant replaces a function of the library; the test that is named beside it must
fail on it, and does not on the library as it is (it runs on that elsewhere).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import polyrot as pr
from polyrot.catalogue import load_module
from polyrot.linalg import haar, procrustes
from polyrot.stats.estimate import Estimate, jackknife

TESTS = Path(__file__).parents[1]
test_haar = load_module(TESTS / "linalg" / "test_haar.py")
test_procrustes = load_module(TESTS / "linalg" / "test_procrustes.py")
test_sae = load_module(TESTS / "sae" / "test_sae.py")
test_sae_activations = load_module(TESTS / "sae" / "test_sae_activations.py")
test_estimate = load_module(TESTS / "stats" / "test_estimate.py")

Patch = pytest.MonkeyPatch
Frames = tuple[torch.Tensor, torch.Tensor]


def no_sign_fix(patch: Patch) -> None:
    patch.setattr(haar, "_frames", lambda *arguments: _with_determinants(_qr(*arguments)))


def sign_on_rows(patch: Patch) -> None:
    right = haar._frames

    def frames(*arguments: Any) -> Frames:
        d, columns, size, rng = arguments
        state = rng.bit_generator.state
        q, determinants = right(*arguments)
        rng.bit_generator.state = state
        signs = np.sign([_drawn_diagonal(d, columns, rng) for _ in range(size)])
        rows = np.concatenate([signs, np.ones((size, d - columns))], axis=1)
        return q * torch.from_numpy(rows[:, :, None] * signs[:, None]), determinants

    patch.setattr(haar, "_frames", frames)


def determinant_forced_on_a_draw_that_is_not_haar(patch: Patch) -> None:
    def frames(*arguments: Any) -> Frames:
        q = _qr(*arguments)
        q[:, :, -1] *= torch.sign(torch.linalg.det(q))[:, None]
        return _with_determinants(q)

    patch.setattr(haar, "_frames", frames)


def determinant_without_the_sign_of_the_last_reflection(patch: Patch) -> None:
    right = haar._frames

    def frames(*arguments: Any) -> Frames:
        q, determinants = right(*arguments)
        return q, -determinants

    patch.setattr(haar, "_frames", frames)


def rotation_transposed(patch: Patch) -> None:
    fit = procrustes._fit

    def transposed(*arguments: Any) -> procrustes.Alignment:
        right = fit(*arguments)
        return replace(right, rotation=right.rotation.mT)

    patch.setattr(procrustes, "_fit", transposed)


def fitted_on_held_out_tokens(patch: Patch) -> None:
    split = procrustes.split_tokens
    patch.setattr(procrustes, "split_tokens", lambda *arguments: split(*arguments)[::-1])


def svd_in_float32(patch: Patch) -> None:
    svd = torch.linalg.svd
    patch.setattr(torch.linalg, "svd", lambda a: tuple(x.double() for x in svd(a.float())))


def explained_variance_about_one_mean(patch: Patch) -> None:
    patch.setattr(test_sae, "ev", test_sae.ev_published)


def carried_bias_left_behind(patch: Patch) -> None:
    carried = pr.SAE.carried

    def unshifted(self: pr.SAE, alignment: pr.Alignment) -> pr.SAE:
        return replace(carried(self, alignment), b_enc=self.b_enc)

    patch.setattr(pr.SAE, "carried", unshifted)


def topk_by_magnitude(patch: Patch) -> None:
    def largest(self: pr.TopK, pre: torch.Tensor) -> torch.Tensor:
        index = pre.abs().topk(self.k, dim=-1).indices
        return torch.zeros_like(pre).scatter(-1, index, pre.gather(-1, index)).relu()

    patch.setattr(pr.TopK, "__call__", largest)


def jump_without_rectifier(patch: Patch) -> None:
    patch.setattr(pr.JumpReLU, "__call__", lambda self, pre: pre * (pre > self.threshold))


def jackknife_over_pairs(patch: Patch) -> None:
    def over_pairs(values: dict[tuple[int, int], float]) -> Estimate:
        units = {(2 * k, 2 * k + 1): value for k, value in enumerate(values.values())}
        mean, n = float(np.mean(list(values.values()))), len(units)
        left_out = (n * mean - np.array(list(units.values()))) / (n - 1)
        half = 1.96 * ((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2)) ** 0.5
        return replace(jackknife(values), low=mean - half, high=mean + half)

    patch.setattr(test_estimate, "jackknife", over_pairs)


def _qr(d: int, columns: int, size: int, rng: np.random.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.from_numpy(rng.standard_normal((size, d, columns)))).Q


def _with_determinants(q: torch.Tensor) -> Frames:
    return q, torch.linalg.det(q)


def _drawn_diagonal(d: int, columns: int, rng: np.random.Generator) -> list[float]:
    return [rng.standard_normal(d - k)[0] for k in range(columns)]


MUTANTS: list[tuple[Callable[[Patch], None], Callable[[], None]]] = [
    (no_sign_fix, lambda: test_haar.test_trace_has_mean_zero_and_variance_one(8, "O")),
    (sign_on_rows, lambda: test_haar.test_a_draw_is_the_unique_factor_of_its_gaussian(5, 5)),
    (
        determinant_forced_on_a_draw_that_is_not_haar,
        lambda: test_haar.test_trace_has_mean_zero_and_variance_one(20, "SO"),
    ),
    (
        determinant_without_the_sign_of_the_last_reflection,
        test_haar.test_samples_are_orthogonal_with_the_right_determinant,
    ),
    (rotation_transposed, test_procrustes.test_a_planted_rotation_is_recovered),
    (fitted_on_held_out_tokens, test_procrustes.test_held_out_tokens_are_not_fitted),
    (svd_in_float32, test_procrustes.test_nearly_singular_directions_are_still_rotated_correctly),
    (explained_variance_about_one_mean, test_sae.test_the_two_explained_variances_by_hand),
    (
        carried_bias_left_behind,
        lambda: test_sae_activations.test_carrying_leaves_the_latents("O", "relu", False),
    ),
    (topk_by_magnitude, test_sae_activations.test_each_activation_by_hand),
    (jump_without_rectifier, test_sae_activations.test_each_activation_by_hand),
    (
        jackknife_over_pairs,
        test_estimate.test_coverage_over_seeds_is_near_nominal_where_counting_pairs_is_not,
    ),
]


@pytest.mark.parametrize(("mutate", "caught_by"), MUTANTS, ids=[m.__name__ for m, _ in MUTANTS])
def test_a_mutant_is_caught(
    mutate: Callable[[Patch], None], caught_by: Callable[[], None], monkeypatch: Patch
) -> None:
    caught_by()
    mutate(monkeypatch)
    # That it fails is enough: hypothesis need not look for the smallest example.
    monkeypatch.setattr("hypothesis.internal.conjecture.engine.MAX_SHRINKS", 0, raising=False)
    with pytest.raises(AssertionError):
        caught_by()
