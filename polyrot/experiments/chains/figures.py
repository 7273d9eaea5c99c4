"""The figures of claims about cores, as data."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities.figures import Labelled, mean_and_extremes
from polyrot.verdict.figure import Figure, Mark, Role, Series


def spectra(weights: Mapping[Labelled, Sequence[Float[Tensor, " direction"]]]) -> Figure:
    """Draw the energy of each direction of ACE, averaged over seeds, with their extremes."""
    series = []
    for (label, role), seeds in weights.items():
        count = min(len(own) for own in seeds)
        shares = torch.stack([own[:count] / own.sum() for own in seeds])
        series.append(mean_and_extremes(label, role, range(1, count + 1), shares))
    return Figure(
        "spectra",
        "Energy of the directions",
        "Squared Hankel singular values as a share of their sum: mean over seeds, and the lowest "
        "and highest of them. As many directions as the unembedding has outputs can have any.",
        "direction",
        "share of the energy",
        Mark.LINES,
        tuple(series),
        log_y=True,
    )


def beside_chance(
    values: Sequence[float], chance: Float[Tensor, " draw"], *, what: str, caption: str
) -> Figure:
    """Draw values beside the histogram of what chance gives."""
    own = torch.tensor(values, dtype=torch.float64)
    both = torch.cat([own, chance.double()])
    edges = torch.linspace(float(both.min()) - 1e-9, float(both.max()) + 1e-9, 31).double()
    series = []
    for label, role, numbers in (("chance", Role.NULL, chance), ("models", Role.MODELS, own)):
        counts = torch.histogram(numbers.double(), edges).hist
        shares = tuple(map(float, counts / counts.sum()))
        series.append(Series(label, role, tuple(map(float, edges)), shares))
    return Figure("chance", "Beside chance", caption, what, "share", Mark.STEPS, tuple(series))
