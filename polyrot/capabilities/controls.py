"""Worlds in which the truth of a claim about a pair is known.

Each is a transformation of a `Pair` that leaves the source, and so its autoencoder, unchanged
wherever the control allows.  Draws are functions of the pair's seeds.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from scipy.linalg import fractional_matrix_power
from torch import Tensor

from polyrot.capabilities.dictionaries import KINDS, SCALAR, SUBSPACE
from polyrot.capabilities.pairs import Pair, World
from polyrot.capabilities.streams import Checkpoints
from polyrot.linalg import haar
from polyrot.linalg.procrustes import Alignment, align

Matrix = Float[Tensor, "d_model d_model"]
Basis = Float[Tensor, "d_model rank"]
"""Orthonormal."""
ByKind = Callable[[Pair], dict[str, Pair]]
"""The pair to which each kind of autoencoder is applied."""


def untrained(pair: Pair) -> Pair:
    """The target is the same seed before training."""
    return pair.with_target(pair.before_training()[1])


def shuffled_tokens(pair: Pair) -> Pair:
    """The target's activations are of other tokens than the source's."""
    order = torch.randperm(len(pair.target), generator=pair.generator(1))
    return pair.with_target(pair.target[order])


def shuffled_part(pair: Pair, basis: Basis, *, inside: bool) -> Pair:
    """The target is the source under a Haar rotation, with tokens shuffled in one part.

    That part is the projection onto a subspace, or onto its complement.
    """
    x = pair.source.double()
    within = x @ basis @ basis.mT
    without = x - within
    order = torch.randperm(len(x), generator=pair.generator(52))
    mixed = within[order] + without if inside else within + without[order]
    rotation = haar.sample(pair.d_model, group="O", seed=pair.draw_seed(53))
    return pair.with_target((mixed @ rotation).float())


def principal_axes(pair: Pair, rank: int) -> Basis:
    """The source's directions of largest variance, on the tokens that are fitted."""
    fitted = pair.source[~pair.held_out].double()
    axes: Tensor = torch.linalg.eigh(torch.cov(fitted.mT))[1].flip(1)
    return axes[:, :rank]


def random_subspace(pair: Pair, rank: int) -> Basis:
    """Uniform among the subspaces of a rank."""
    return haar.sample(pair.d_model, seed=pair.draw_seed(51))[:, :rank]


def matched_gaussian(pair: Pair) -> Pair:
    """The target is replaced by Gaussian noise with its mean and covariance."""
    x = pair.target.double()
    values, vectors = torch.linalg.eigh(torch.cov(x.mT))
    root = vectors * values.clamp(min=0).sqrt()
    noise = torch.randn(pair.target.shape, generator=pair.generator(2))
    return pair.with_target(noise @ root.mT.float() + x.mean(0).float())


def noise_clouds(pair: Pair) -> Pair:
    """Source and target are unrelated isotropic Gaussian noise: nothing is shared."""
    x, y = torch.randn(2, *pair.source.shape, generator=pair.generator(3))
    return replace(pair, source=x, target=y)


def random_rotation(pair: Pair) -> Pair:
    """The means are matched, but the rotation is drawn instead of fitted."""

    def fit(p: Pair) -> Alignment:
        rotation = haar.sample(p.d_model, group="O", seed=p.draw_seed(4))
        return replace(p.procrustes(p.group), rotation=rotation)

    return replace(pair, fit=fit)


def for_both_kinds(world: World) -> ByKind:
    """Both kinds of autoencoder are applied to one pair."""
    return lambda pair: dict.fromkeys(KINDS, world(pair))


def groups_need_another_rotation(pair: Pair) -> dict[str, Pair]:
    """The target is the source under one rotation for single directions, another for groups."""
    rotated = haar_world()(pair)
    return {SCALAR: rotated, SUBSPACE: random_rotation(rotated)}


def noise_for(explained: float) -> float:
    """Return the noise of `haar_world` with which a rotation and a scale explain so much."""
    return math.sqrt(1 / explained - 1)


def untrained_seeds(pair: Pair) -> Pair:
    """Source and target are the seeds before training."""
    source, target = pair.before_training()
    return replace(pair, source=source, target=target)


def mean_shift_alone(pair: Pair) -> Pair:
    """The map matches the means and turns nothing."""
    return replace(pair, fit=lambda p: p.procrustes("identity"))


def haar_world(noise: float = 0.0, *, salt: int = 6) -> World:
    """The target is the source under a Haar rotation, plus noise.

    `noise` is the standard deviation of isotropic noise relative to the source's.
    """

    def world(pair: Pair) -> Pair:
        rotation = haar.sample(pair.d_model, group="O", seed=pair.draw_seed(salt))
        return _mapped(pair, rotation, noise)

    return world


def turned(share: float) -> World:
    """The target is the source under a Haar rotation with all angles scaled by a share."""

    def world(pair: Pair) -> Pair:
        whole = haar.sample(pair.d_model, group="SO", seed=pair.draw_seed(18))
        part = fractional_matrix_power(whole.numpy(), share).real
        return _mapped(replace(pair, target=pair.source), torch.from_numpy(part))

    return world


def other_run(checkpoints: Checkpoints, site: str, *, published: bool) -> list[Pair]:
    """Checkpoints of different seeds' trainings."""
    return checkpoints.checkpoint_pairs(site, other_run=True, published=published)


def turned_less_with_depth(checkpoints: Checkpoints, site: str, *, published: bool) -> list[Pair]:
    """Each target is the source under a rotation: the later the site, the smaller."""
    return _turned_by_depth(checkpoints, site, published=published, falling=True)


def turned_more_with_depth(checkpoints: Checkpoints, site: str, *, published: bool) -> list[Pair]:
    """As `turned_less_with_depth`: the later the site, the larger."""
    return _turned_by_depth(checkpoints, site, published=published, falling=False)


def _turned_by_depth(
    checkpoints: Checkpoints, site: str, *, published: bool, falling: bool
) -> list[Pair]:
    sites = checkpoints.checkpoint_sites if published else checkpoints.sites
    depth = sites.index(site)
    turn = turned(1 - (depth if falling else len(sites) - 1 - depth) / len(sites))
    return [turn(pair) for pair in checkpoints.checkpoint_pairs(site, published=published)]


def wrongly_turned(checkpoints: Checkpoints, site: str, *, published: bool) -> list[Pair]:
    """Each target is the source itself, plus noise, under a rotation that is drawn, not fitted."""
    same = identity_world(0.01)
    pairs = checkpoints.checkpoint_pairs(site, published=published)
    return [random_rotation(same(pair)) for pair in pairs]


def noise_matched_checkpoint(checkpoints: Checkpoints, site: str, *, published: bool) -> list[Pair]:
    """Each target is the source under a Haar rotation, as noisy as the other checkpoint."""
    matched = noise_matched()
    return [matched(pair) for pair in checkpoints.checkpoint_pairs(site, published=published)]


def identity_world(noise: float) -> World:
    """The target is the source itself, plus noise relative to its standard deviation."""

    def world(pair: Pair) -> Pair:
        return _mapped(pair, torch.eye(pair.d_model, dtype=torch.float64), noise)

    return world


def noise_matched(draw: int = 0) -> World:
    """As noisy as the models, but nothing relates the seeds except a Haar rotation and a scale.

    The target is the source under both, plus what the pair's own map leaves unexplained, dealt out
    to other tokens: the explained variance is that of the models.  What is left lies in the
    directions of the source's variance in which it lies in the models.
    """

    def world(pair: Pair) -> Pair:
        rotation = haar.sample(pair.d_model, group="O", seed=pair.draw_seed(54 + draw))
        return _with_own_residuals(pair, rotation, salt=70 + draw)

    return world


def private_noise(pair: Pair) -> Pair:
    """A rotation relates the seeds, and each has noise of its own; both covariances are the pair's.

    What the seeds have in common is, in the source's basis, the symmetric factor of their
    cross-covariance, cut down to what either of them varies: no more can be common to both up to a
    rotation.  The source stays as it is.
    """
    moments = pair.moments[0]
    own = align(moments=moments.swap(), group="O", seed=pair.draw_seed(19))
    back = own.rotation.mT
    source, target = (
        m / moments.count for m in (moments.target, own.rotation @ moments.source @ back)
    )
    common = moments.cross.mT / moments.count @ back
    for side in (source, target):
        common = _cut_down((common + common.mT) / 2, side)
    shared = torch.linalg.pinv(source, hermitian=True, rtol=1e-9) @ common
    noise = _root(target - shared.mT @ source @ shared)
    drawn = torch.randn(pair.source.shape, generator=pair.generator(81), dtype=torch.float64)
    turn = haar.sample(pair.d_model, group="O", seed=pair.draw_seed(82))
    x = pair.source.double() - own.source_mean
    return pair.with_target(((x @ shared + drawn @ noise) @ turn + own.target_mean).float())


def _cut_down(matrix: Matrix, limit: Matrix) -> Matrix:
    """Lower a covariance to at most another one, in the directions of their ratio."""
    values, vectors = torch.linalg.eigh(limit)
    root = values.clamp(min=1e-10 * float(values[-1])).sqrt()
    whiten, colour = ((vectors * r) @ vectors.mT for r in (1 / root, root))
    ratios, axes = torch.linalg.eigh(whiten @ matrix @ whiten)
    return torch.mm(colour @ (axes * ratios.clamp(0, 1)), axes.mT @ colour)


def _root(covariance: Matrix) -> Matrix:
    values, vectors = torch.linalg.eigh((covariance + covariance.mT) / 2)
    return torch.mm(vectors * values.clamp(min=0).sqrt(), vectors.mT)


def linear(condition: float) -> World:
    """As `noise_matched`, under a linear map that shrinks half of the directions by a factor."""

    def world(pair: Pair) -> Pair:
        left, right = haar.sample(pair.d_model, 2, group="O", seed=pair.draw_seed(15))
        gains = torch.ones(pair.d_model, dtype=torch.float64)
        gains[::2] /= condition
        return _with_own_residuals(pair, left @ torch.diag(gains) @ right, salt=80)

    return world


def aligned_axes(count: int) -> World:
    """A Haar rotation of all dimensions but a few, which are only permuted."""

    def world(pair: Pair) -> Pair:
        d = pair.d_model
        inner = haar.sample(d - count, group="O", seed=pair.draw_seed(16))
        whole = torch.block_diag(torch.eye(count, dtype=torch.float64), inner)
        generator = pair.generator(17)
        rows, columns = (torch.randperm(d, generator=generator) for _ in range(2))
        return _mapped(pair, whole[rows][:, columns])

    return world


def half_rotation(pair: Pair) -> Pair:
    """Half of the dimensions are rotated, the others equal the source's."""
    half = pair.d_model // 2
    rotation = torch.eye(pair.d_model, dtype=torch.float64)
    rotation[:half, :half] = haar.sample(half, group="SO", seed=pair.draw_seed(7))
    return _mapped(pair, rotation)


def permutation(noise: float = 0.0) -> World:
    """The target's dimensions are the source's in another order, plus relative noise."""

    def world(pair: Pair) -> Pair:
        order = torch.randperm(pair.d_model, generator=pair.generator(8))
        return _mapped(pair, torch.eye(pair.d_model, dtype=torch.float64)[order], noise)

    return world


def signed_permutation(noise: float = 0.0) -> World:
    """As `permutation`, with random signs."""

    def world(pair: Pair) -> Pair:
        generator = pair.generator(9)
        order = torch.randperm(pair.d_model, generator=generator)
        signs = torch.randint(0, 2, (pair.d_model,), generator=generator).double() * 2 - 1
        return _mapped(pair, torch.diag(signs)[order], noise)

    return world


def block_haar(pair: Pair) -> Pair:
    """Eight blocks of dimensions are rotated, each within itself."""
    sizes = [len(block) for block in torch.arange(pair.d_model).tensor_split(8)]
    blocks = [
        haar.sample(size, group="O", seed=pair.draw_seed(100 + block))
        for block, size in enumerate(sizes)
    ]
    return _mapped(pair, torch.block_diag(*blocks))


def partly_identity(share: float) -> World:
    """A Haar rotation that fixes a share of the dimensions, in a random basis."""

    def world(pair: Pair) -> Pair:
        d = pair.d_model
        fixed = max(1, round(share * d))
        inner = haar.sample(d - fixed, group="O", seed=pair.draw_seed(11))
        basis = haar.sample(d, group="O", seed=pair.draw_seed(12))
        eye = torch.eye(fixed, dtype=torch.float64)
        return _mapped(pair, basis.mT @ torch.block_diag(inner, eye) @ basis)

    return world


def _with_own_residuals(pair: Pair, matrix: Matrix, *, salt: int) -> Pair:
    """Make the target the source under a map, plus the residuals of the pair's own fit."""
    moments, _ = pair.moments
    own = align(moments=moments.swap(), group="scaled", seed=pair.draw_seed(19))
    source = pair.source.double() - own.source_mean
    residual = (pair.target.double() - own.apply(pair.source)) @ own.rotation.mT
    mapped = source @ matrix
    # As much variance as the models' rotation explains, whatever the map.
    mapped *= own.scale * float(source.norm() / mapped.norm())
    u, _, v = torch.linalg.svd(matrix)
    order, generator = torch.arange(len(source)), pair.generator(salt)
    for part in (pair.held_out, ~pair.held_out):  # residuals of the fit stay in the fit
        tokens = part.nonzero()[:, 0]
        order[tokens] = tokens[torch.randperm(len(tokens), generator=generator)]
    target = mapped + residual[order] @ (u @ v) + own.target_mean
    return pair.with_target(target.float())


def _mapped(pair: Pair, matrix: Matrix, noise: float = 0.0) -> Pair:
    """Make the target the source under a linear map, plus isotropic noise."""
    y = pair.source @ matrix.float()
    if noise:
        spread = noise * (pair.source - pair.source.mean(0)).square().mean().sqrt()
        y += spread * torch.randn(y.shape, generator=pair.generator(14))
    return pair.with_target(y)
