"""The figures of the claims about Markov chains."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities.figures import Labelled, mean_and_extremes
from polyrot.experiments.chains.models import ChainModels
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import numbers


def spectra(worlds: Mapping[Labelled, ChainModels]) -> list[Figure]:
    """Draw the energy of each direction of ACE: the mean over seeds, the lowest and the highest."""
    series = []
    for (label, role), models in worlds.items():
        weights = [core.weights for core in models.cores]
        count = min(map(len, weights))
        shares = torch.stack([seed[:count] / seed.sum() for seed in weights])
        series.append(mean_and_extremes(label, role, range(1, count + 1), shares))
    return [
        Figure(
            "spectra",
            "Energy of the directions",
            "Squared Hankel singular values as a share of their sum: mean over seeds, the lowest "
            "and the highest. No more directions than the unembedding has outputs can have any.",
            "direction",
            "share of the energy",
            Mark.LINES,
            tuple(series),
            log_y=True,
        )
    ]


def against_chance(
    values: Sequence[float], chance: Float[Tensor, " draw"], *, what: str, caption: str
) -> list[Figure]:
    """Draw values over the histogram of values by chance."""
    measured = torch.tensor(values, dtype=torch.float64)
    both = torch.cat([measured, chance.double()])
    edges = torch.linspace(float(both.min()) - 1e-9, float(both.max()) + 1e-9, 31).double()
    series = []
    for label, role, drawn in (("chance", Role.NULL, chance), ("models", Role.MODELS, measured)):
        counts = torch.histogram(drawn.double(), edges).hist
        series.append(Series(label, role, numbers(edges), numbers(counts / counts.sum())))
    return [Figure("chance", "Against chance", caption, what, "share", Mark.STEPS, tuple(series))]
