"""Has a ratio fallen?  Ratios of one run with those of another, never times."""

from collections.abc import Iterable

from harness import units
from harness.rows import Key, Row, ratios

FALLEN = 3.0
"""A ratio that is less than its old one by this factor has fallen: noise does not do that."""


def fallen(new: Iterable[Row], old: Iterable[Row]) -> list[str]:
    """Name the rows whose ratio fell below a third of what it was, with both ratios."""
    before = ratios(old)
    return [
        f"{_name(key)}: ratio {units.ratio(ratio)}, was {units.ratio(before[key])}"
        for key, ratio in ratios(new).items()
        if key in before and ratio * FALLEN < before[key]
    ]


def unknown(new: Iterable[Row], old: Iterable[Row]) -> list[str]:
    """Name the rows that the other run does not have."""
    before = ratios(old)
    return [_name(key) for key in ratios(new) if key not in before]


def _name(key: Key) -> str:
    group, case, contender = key
    return f"{group} [{case}] {contender}"
