"""What a benchmark run found, as plain data that survives JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1
NOISE = 0.05
"""A contender asked to be "never slower" is as fast within this share: two clocks differ so."""

Key = tuple[str, str, str]
"""Group, case and contender."""


@dataclass(frozen=True)
class Row:
    """One contender on one case."""

    group: str
    case: str
    size: int
    contender: str
    ours: bool
    seconds: float
    """Median over the rounds, of one unit."""
    rounds: int
    error: float
    """Disagreement with the reference; the benchmark fails where it is too large."""
    at_least: float | None = None
    """Least ratio asked for, against this contender."""
    peak_bytes: int | None = None
    """Most memory beyond what there was before the call."""
    operations: float | None = None
    """Arithmetic that the job needs, a unit."""
    bytes_moved: float | None = None
    """Traffic with main memory that the job needs, a unit."""
    precision: str = "float64"
    """Whose ceiling the operations have."""
    note: str = ""
    plotted: bool = True

    @property
    def key(self) -> Key:
        return self.group, self.case, self.contender


@dataclass(frozen=True)
class Ceilings:
    """What this machine reached in the same run."""

    float64: float
    """Operations a second, in a large matrix product."""
    float32: float
    copy: float
    """Bytes a second, read and written, in a large copy."""


@dataclass(frozen=True)
class GroupFacts:
    """What a table says of a group besides its rows."""

    name: str
    title: str
    axis: str
    unit: str
    error: str
    note: str


@dataclass(frozen=True)
class Results:
    """A whole run."""

    device: str
    full: bool
    date: str
    commit: str
    machine: Mapping[str, Any]
    threads: Mapping[str, int]
    versions: Mapping[str, str]
    ceilings: Ceilings
    groups: tuple[GroupFacts, ...]
    rows: tuple[Row, ...]
    schema: int = field(default=SCHEMA)

    def of(self, group: str) -> list[Row]:
        """Select the rows of a group, in the order they were measured."""
        return [row for row in self.rows if row.group == group]

    def to_json(self) -> dict[str, Any]:
        """Make it a tree of what JSON knows."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "Results":
        """Read what `to_json` made.

        Raises:
            ValueError: where it was written under another schema.
        """
        if tree.get("schema") != SCHEMA:
            raise ValueError(
                f"Expected schema {SCHEMA} but got {tree.get('schema')!r}; "
                "write the results anew: tox -e bench"
            )
        nested = {
            "ceilings": Ceilings(**tree["ceilings"]),
            "groups": tuple(GroupFacts(**group) for group in tree["groups"]),
            "rows": tuple(Row(**row) for row in tree["rows"]),
        }
        return cls(**{**tree, **nested})


def base(row: Row, rows: Iterable[Row]) -> Row | None:
    """Find our row of the same case."""
    own = (r for r in rows if r.ours and (r.group, r.case) == (row.group, row.case))
    return next(own, None)


def ratios(rows: Iterable[Row]) -> dict[Key, float]:
    """Compute how many times as long as ours every other contender takes."""
    known = list(rows)
    found = {}
    for row in known:
        ours = base(row, known)
        if ours is not None and not row.ours:
            found[row.key] = row.seconds / ours.seconds
    return found


def is_met(ratio: float, at_least: float) -> bool:
    """Decide whether a ratio is what was asked for; "never slower" leaves room for noise."""
    return ratio >= (at_least if at_least > 1 else at_least * (1 - NOISE))


def short(rows: Iterable[Row]) -> list[Row]:
    """List the rows whose ratio is below what was asked for."""
    known = list(rows)
    found = ratios(known)
    return [
        row
        for row in known
        if row.at_least is not None
        and row.key in found
        and not is_met(found[row.key], row.at_least)
    ]
