"""The figures of the claims about modular addition."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from polyrot.capabilities.figures import eigenvalues, mean_and_extremes
from polyrot.experiments.addition import controls
from polyrot.experiments.addition.models import Addition
from polyrot.models.encoder_cohorts import MODULAR, WITHOUT_DECAY
from polyrot.tasks import modular
from polyrot.verdict.figure import Figure, Mark, Role, Series


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
                "Fewest directions without which held-out answers are at chance",
            ),
            (
                "sufficient",
                "Rank of the sufficient core",
                "Fewest directions that alone keep the accuracy on held-out questions",
            ),
        )
    ]


def operator(curves: Mapping[str, Any]) -> list[Figure]:
    """Draw how well the cyclic shift fits over the epochs with weight decay."""
    cores = curves[MODULAR]["cores"]
    return [
        _over_epochs(
            "operator",
            "The cyclic shift",
            "In the necessary core, without which held-out answers are at chance",
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
    ]


def near_the_circle(addition: Addition) -> list[Figure]:
    """Draw the eigenvalues of every seed's shift, with the roots of unity."""
    angles = 2 * torch.pi * torch.arange(modular.MODULUS).double() / modular.MODULUS
    found = {("roots of unity", Role.NULL): [torch.polar(torch.ones_like(angles), angles)]}
    for label, role, seeds in (
        ("grokked", Role.MODELS, controls.shifts(controls.grokked(addition))),
        ("memorising", Role.NEGATIVE, controls.shifts(controls.memorising(addition))),
        (
            "random points in 60 dimensions",
            Role.BESIDE,
            controls.shifts_of_random_points([60] * len(addition.seeds)),
        ),
    ):
        found[label, role] = [shift.eigenvalues for shift, _ in seeds]
    caption = (
        "Of the least-squares map from every answer's mean coordinates to the next answer's, "
        "every seed."
    )
    return [eigenvalues(found, caption=caption)]


def ablations(addition: Addition) -> list[Figure]:
    """Draw accuracy with only the first directions of a core, or without them, by their number."""
    worlds = {
        ("grokked", Role.MODELS): controls.grokked(addition),
        ("memorising", Role.NEGATIVE): controls.memorising(addition),
    }
    series = []
    for (when, role), models in worlds.items():
        seeds = range(len(models.cores))
        accuracies = [models.accuracies(index, modular.is_training()) for index in seeds]
        for what, by_seed in zip(("alone", "without"), zip(*accuracies, strict=True), strict=True):
            ranks = range(1, len(by_seed[0]) + 1)
            series.append(mean_and_extremes(f"{when}: {what}", role, ranks, torch.stack(by_seed)))
    return [
        Figure(
            "ablations",
            "Accuracy with and without the core",
            "Accuracy on training questions with the first directions alone, and without them: "
            "mean over seeds, the lowest and the highest.",
            "directions",
            "accuracy",
            Mark.LINES,
            tuple(series),
        )
    ]


def delays(steps: Mapping[float, Sequence[int | None]]) -> list[Figure]:
    """Draw how long every repetition took to grok, by weight decay."""
    known = {
        decay: [float(delay) for delay in every if delay is not None]
        for decay, every in steps.items()
    }
    points = [(decay, delay) for decay, every in known.items() for delay in every]
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
    """Return one figure of every seed, at every epoch."""
    return cores["epoch"], [[float(core[which]) for core in seeds] for seeds in cores["seeds"]]


def _over_epochs(
    name: str,
    title: str,
    caption: str,
    y: str,
    lines: Sequence[tuple[str, Role, Sequence[int], Sequence[Sequence[float]]]],
) -> Figure:
    """Draw the mean over seeds at every epoch, with the lowest and the highest."""
    series = [
        mean_and_extremes(label, role, epochs, torch.tensor(values, dtype=torch.float64).mT)
        for label, role, epochs, values in lines
    ]
    caption += ": mean over seeds, the lowest and the highest."
    return Figure(name, title, caption, "epoch", y, Mark.LINES, tuple(series), log_x=True)
