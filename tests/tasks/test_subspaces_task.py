"""Planted subspaces: what is drawn is what was said."""

import pytest
import torch

from polyrot.tasks.subspaces import (
    Features,
    gaussian,
    helix,
    random_bases,
    shapes,
    sphere,
)


def test_bases_are_orthonormal_and_orthogonal_to_one_another_where_they_should_be() -> None:
    for orthogonal in (True, False):
        bases = random_bases((1, 2, 3), 12, 0, orthogonal=orthogonal)
        assert [tuple(b.shape) for b in bases] == [(1, 12), (2, 12), (3, 12)]
        for basis in bases:
            torch.testing.assert_close(basis @ basis.mT, torch.eye(len(basis)))
        overlap = float((bases[1] @ bases[2].mT).abs().max())
        assert overlap < 1e-6 if orthogonal else overlap > 0.01
    assert torch.equal(random_bases((2,), 5, 7)[0], random_bases((2,), 5, 7)[0])


def test_a_few_features_are_on_and_nothing_else_is_written() -> None:
    bases = random_bases((1, 2, 3), 12, 0, orthogonal=True)
    features = Features(bases, (gaussian,) * 3, 2, (1.0, 2.0, 3.0), noise=0.0)
    tokens = features.draw(4_000, 1)
    assert (tokens.on.sum(1) == 2).all()
    assert tokens.on.double().mean(0).tolist() == pytest.approx([2 / 3] * 3, abs=0.03)
    for index, (basis, scale) in enumerate(zip(bases, features.scales, strict=True)):
        inside = (tokens.x @ basis.mT).square().sum(1)
        assert float(inside[~tokens.on[:, index]].max()) < 1e-9
        # Total energy 1, times the scale squared.
        assert float(inside[tokens.on[:, index]].mean()) == pytest.approx(scale**2, rel=0.1)
    assert (features.dims, features.d_model) == ((1, 2, 3), 12)


def test_power_and_noise_are_what_was_asked_for() -> None:
    bases = random_bases((2, 2), 20, 0, orthogonal=True)
    features = Features(bases, (sphere,) * 2, 1, (1.0, 1.0), noise=0.25, power=80.0)
    tokens = features.draw(20_000, 2)
    every = torch.cat(bases)
    outside = tokens.x - tokens.x @ every.mT @ every
    # A quarter of 80 in 20 dimensions, 16 of which hold nothing else.
    assert float(outside.square().sum(1).mean()) == pytest.approx(0.25 * 80 * 16 / 20, rel=0.03)
    assert float((tokens.x - outside).square().sum(1).mean()) == pytest.approx(84, rel=0.03)
    assert torch.equal(tokens.x, features.draw(20_000, 2).x)


def test_shapes_are_a_circle_a_sphere_and_a_helix() -> None:
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(sphere(9, 3, generator).norm(dim=1), torch.ones(9))
    points = helix(2_000, 3, generator)
    torch.testing.assert_close(points[:, :2].norm(dim=1), torch.ones(2_000))
    assert points[:, 2].abs().max() <= 1
    torch.testing.assert_close(points[:, 0], (2 * torch.pi * points[:, 2]).cos())
    planted = shapes(64, 1, 5)
    assert planted.dims == (2, 3, 3)
    assert (planted.draw(50, 0).on.sum(1) == 1).all()
