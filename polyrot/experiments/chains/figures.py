"""The figures of claims about cores, as data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from polyrot.models.encoder_cohorts import MODULAR, WITHOUT_DECAY
from polyrot.verdict.figure import Figure, Mark, Role, Series

Labelled = tuple[str, Role]
"""Label and role of a series."""


def spectra(weights: Mapping[Labelled, Sequence[Float[Tensor, " direction"]]]) -> Figure:
    """Draw the energy of each direction of ACE, averaged over seeds, with their extremes."""
    series = []
    for (label, role), seeds in weights.items():
        count = min(len(own) for own in seeds)
        shares = torch.stack([own[:count] / own.sum() for own in seeds])
        series.append(_over_seeds(label, role, range(1, count + 1), shares))
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


def eigenvalues(
    values: Mapping[Labelled, Sequence[Complex[Tensor, " eigenvalue"]]], *, caption: str
) -> Figure:
    """Draw eigenvalues of operators in the complex plane, those of all seeds alike."""
    series = []
    for (label, role), seeds in values.items():
        pooled = torch.cat(list(seeds))
        x, y = (tuple(map(float, part)) for part in (pooled.real, pooled.imag))
        series.append(Series(label, role, x, y))
    return Figure(
        "eigenvalues",
        "Eigenvalues",
        caption,
        "real part",
        "imaginary part",
        Mark.POINTS,
        tuple(series),
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


def grokking(curves: Mapping[str, Any]) -> list[Figure]:
    """Draw accuracies, and the ranks by each criterion, over the epochs with weight decay."""
    accuracy, cores = (curves[MODULAR][which] for which in ("accuracy", "cores"))
    return [
        _over_epochs(
            "grokking",
            "Grokking",
            "Accuracy while training with weight decay",
            "accuracy",
            [
                ("training questions", Role.BESIDE, accuracy["epoch"], accuracy["training"]),
                ("held-out questions", Role.MODELS, accuracy["epoch"], accuracy["held out"]),
            ],
        ),
        _over_epochs(
            "ranks",
            "Ranks of the core",
            "Fewest directions by each criterion, on held-out questions",
            "rank",
            [
                (which, role, *_column(cores, which))
                for which, role in (
                    ("energy", Role.BESIDE),
                    ("necessary", Role.MODELS),
                    ("sufficient", Role.BESIDE),
                )
            ],
        ),
    ]


def inflation(curves: Mapping[str, Any]) -> list[Figure]:
    """Draw the ranks of the core over the epochs of both branches."""
    branches = (MODULAR, "with weight decay", Role.MODELS), (WITHOUT_DECAY, "without", Role.BESIDE)
    return [
        _over_epochs(
            which,
            title,
            caption,
            "rank",
            [
                (label, role, *_column(curves[name]["cores"], which))
                for name, label, role in branches
            ],
        )
        for which, title, caption in (
            (
                "necessary",
                "Rank of the necessary core",
                "Fewest directions without which held-out answers are gone",
            ),
            (
                "sufficient",
                "Rank of the sufficient core",
                "Fewest directions with which alone held-out answers are as good",
            ),
        )
    ]


def operator(curves: Mapping[str, Any]) -> Figure:
    """Draw what the cyclic shift is worth over the epochs with weight decay."""
    cores = curves[MODULAR]["cores"]
    return _over_epochs(
        "operator",
        "The cyclic shift",
        "In the core without which held-out answers are gone",
        "share",
        [
            (which, role, *_column(cores, which))
            for which, role in (
                ("R2", Role.BESIDE),
                ("R2 held out", Role.MODELS),
                ("ring share", Role.BESIDE),
            )
        ],
    )


def ablations(accuracies: Mapping[Labelled, Float[Tensor, "seed rank"]]) -> Figure:
    """Draw accuracy with the first directions of a core alone, or without them, by their number."""
    series = []
    for (label, role), seeds in accuracies.items():
        series.append(_over_seeds(label, role, range(1, seeds.shape[1] + 1), seeds))
    return Figure(
        "ablations",
        "What a core keeps and what it takes away",
        "Accuracy on training questions with so many directions alone, and without them: mean over "
        "seeds, the lowest and the highest.",
        "directions",
        "accuracy",
        Mark.LINES,
        tuple(series),
    )


def delays(steps: Mapping[float, Sequence[int | None]]) -> list[Figure]:
    """Draw how long every repetition took to grok over the weight decay."""
    known = {decay: [own for own in every if own is not None] for decay, every in steps.items()}
    points = [(decay, float(own)) for decay, every in known.items() for own in every]
    if not points:
        return []
    x, y = (tuple(column) for column in zip(*points, strict=True))
    series = [Series("repetitions", Role.MODELS, x, y)]
    whole = [decay for decay, every in known.items() if len(every) == len(steps[decay])]
    if whole:
        constant = min(whole) * sum(known[min(whole)]) / len(known[min(whole)])
        law = tuple(constant / decay for decay in steps)
        series.append(Series("one over the decay", Role.NULL, tuple(steps), law))
    return [
        Figure(
            "delays",
            "Delay of grokking",
            "Steps from mastering training questions to mastering held-out ones: every repetition, "
            "and one over the weight decay, through the mean at the smallest decay at which all "
            "grokked.",
            "weight decay",
            "steps",
            Mark.POINTS,
            tuple(series),
            log_x=True,
            log_y=True,
        )
    ]


def _column(cores: Mapping[str, Any], which: str) -> tuple[list[int], list[list[float]]]:
    """One figure of every seed, at every epoch."""
    return cores["epoch"], [[float(own[which]) for own in seeds] for seeds in cores["seeds"]]


def _over_seeds(
    label: str, role: Role, x: Iterable[float], values: Float[Tensor, "seed x"]
) -> Series:
    """The mean over seeds, with the lowest and the highest."""
    low, high = values.amin(0), values.amax(0)
    mean = values.mean(0).clamp(low, high)  # of equal numbers, rounding puts it outside them
    return Series(
        label, role, tuple(map(float, x)), *(tuple(map(float, own)) for own in (mean, low, high))
    )


def _over_epochs(
    name: str,
    title: str,
    caption: str,
    y: str,
    lines: Sequence[tuple[str, Role, Sequence[int], Sequence[Sequence[float]]]],
) -> Figure:
    """Draw the mean over seeds at every epoch, with the lowest and the highest."""
    series = [
        _over_seeds(label, role, epochs, torch.tensor(values, dtype=torch.float64).mT)
        for label, role, epochs, values in lines
    ]
    caption += ": mean over seeds, the lowest and the highest."
    return Figure(name, title, caption, "epoch", y, Mark.LINES, tuple(series), log_x=True)
