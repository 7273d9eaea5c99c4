"""Algorithmic cores: the low-dimensional subspace that carries what a model computes.

Algorithmic core extraction (ACE) of "Transformers converge to invariant algorithmic cores"
(arXiv 2602.22600): balanced truncation of a layer's activations against what reads them.

>>> import torch
>>> generator = torch.Generator().manual_seed(0)
>>> activations = torch.randn(500, 8, generator=generator)
>>> core = extract(activations, lambda h: h[:, :2])  # two of eight dimensions are read
>>> core.rank
2
"""

from polyrot.cores.ablation import flip, keep, remove
from polyrot.cores.comparison import (
    canonical_correlations,
    consensus,
    overlap,
    principal_angles,
    random_overlap,
    random_overlaps,
)
from polyrot.cores.dynamics import Dynamics, fit_dynamics
from polyrot.cores.extraction import Core, core_of, extract
from polyrot.cores.gramians import observability, reachability
from polyrot.cores.shift import Shift, fit_shift, random_shift

__all__ = [
    "Core",
    "Dynamics",
    "Shift",
    "canonical_correlations",
    "consensus",
    "core_of",
    "extract",
    "fit_dynamics",
    "fit_shift",
    "flip",
    "keep",
    "observability",
    "overlap",
    "principal_angles",
    "random_overlap",
    "random_overlaps",
    "random_shift",
    "reachability",
    "remove",
]
