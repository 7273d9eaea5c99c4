"""The numbers that arXiv 2605.24577 verifies, of clouds of noise that nothing relates.

The released verification of the paper compares six numbers of Pythia's rotations with those
printed.  Two of them are counts that no activations could change.  The others are those of any
rotations that are nearly Haar, and between unrelated clouds the best rotation is Haar by theorem.
Restated here, with independent Gaussian noise in the place of Pythia.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.linalg.battery import ks_iid_published, statistics
from polyrot.linalg.procrustes import align
from polyrot.stats.nulls import Draws, cached_draws

D_MODEL, SEEDS, TOKENS = 512, 8, 4_096
"""Size of Pythia-70m; eight of its seeds make 56 ordered pairs and 28,672 eigenvalues."""
VERSION = 1


def checks_on_noise() -> dict[str, float]:
    """Return the six numbers, with those that the paper prints in their names."""
    what = {"null": "released checks", "d": D_MODEL, "seeds": SEEDS, "version": VERSION}
    found = cached_draws(what, lambda: _measured(rotations_of_noise()))
    return {name: float(values[0]) for name, values in found.items()}


def rotations_of_noise() -> Float[Tensor, "pair d d"]:
    """Fit the rotations of all unordered pairs of independent Gaussian clouds."""
    generator = torch.Generator().manual_seed(0)
    clouds = [torch.randn(TOKENS, D_MODEL, generator=generator) for _ in range(SEEDS)]
    fitted = []
    for i in range(SEEDS):
        for j in range(i):
            fitted.append(align(clouds[i], clouds[j], holdout=0).rotation)
    return torch.stack(fitted)


def _measured(rotations: Float[Tensor, "pair d d"]) -> Draws:
    # The other direction of a pair has the transpose: the same spectrum, trace and distance.
    count, d = 2 * len(rotations), rotations.shape[-1]
    ks, p = ks_iid_published(rotations.repeat(2, 1, 1))
    traces = rotations.diagonal(dim1=-2, dim2=-1).sum(-1)
    distance = statistics(rotations, ("signed permutation",))["signed permutation"].mean()
    named = {
        "pooled KS (printed 0.0027)": ks,
        "p (1.000)": p,
        "mean cosine of eigenangles (0.000)": float(traces.mean()) / d,
        "norm to the nearest signed permutation (29.6)": float(distance) * (2 * d) ** 0.5,
        "rotations (56)": float(count),
        "eigenangles (28,672)": float(count * d),
    }
    return {f"on noise, {name}": torch.tensor([value]) for name, value in named.items()}
