"""A group of contenders for one job, and the cases they are measured on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

Run = Callable[..., Any]
AtLeast = float | Mapping[int, float] | None


@dataclass(frozen=True)
class Case:
    """One problem: a size, and whatever else a benchmark wants to know of it."""

    size: int
    label: str = ""
    """First column of the table; by default the size."""
    full: bool = False
    """Measured with --full alone."""
    plotted: bool = True
    """On the plot of time against size; of several cases of one size only one should be."""
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.label or str(self.size)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def sizes(*default: int, full: tuple[int, ...] = ()) -> tuple[Case, ...]:
    """Make cases that differ in their size alone, ascending; the first is the smoke test's."""
    return tuple(Case(d) for d in default) + tuple(Case(d, full=True) for d in full)


@dataclass(frozen=True)
class Contender:
    """One way to do the job."""

    name: str
    run: Run
    ours: bool = False
    """What the ratios compare with; one in every case."""
    at_least: AtLeast = None
    """How many times as long as ours it should take; by size where that differs."""
    on: Callable[[Case], bool] = lambda case: True
    """The cases it is measured on."""
    full: tuple[int, ...] = ()
    """Sizes at which it is measured with --full alone."""
    slow: tuple[int, ...] = ()
    """Sizes at which a call takes over five seconds on two cores: one round, no warm-up."""
    needs: str = ""
    """A module of the bench extra; without it the contender is skipped."""

    def target(self, case: Case) -> float | None:
        """Read the least ratio that is asked for in a case."""
        if isinstance(self.at_least, Mapping):
            return self.at_least.get(case.size)
        return self.at_least

    def missing(self) -> str:
        """Say what has to be installed, or nothing."""
        if self.needs and find_spec(self.needs) is None:
            return f'no module {self.needs}: pip install "polyrot[bench]", or tox -e bench'
        return ""


@dataclass
class Group:
    """Contenders for one job on the same data, in the same run."""

    name: str
    """Of files and of rows: lower case, hyphens."""
    title: str
    cases: tuple[Case, ...]
    axis: str = "d"
    """Heading of the first column, and of the plot's x axis."""
    unit: str = "call"
    """What a time is of."""
    error: str = "largest difference"
    """What the column `error` holds."""
    note: str = ""
    """What a reader has to know of the rows."""
    devices: tuple[str, ...] = ("cpu",)
    contenders: list[Contender] = field(default_factory=list)

    def contender(self, name: str, **options: Any) -> Callable[[Run], Run]:
        """Register a function as a contender; `options` are the fields of `Contender`."""

        def register(run: Run) -> Run:
            self.contenders.append(Contender(name, run, **options))
            return run

        return register

    def entries(self, *, smoke: bool = False, full: bool = False) -> list[tuple[Case, Contender]]:
        """List what a run measures, ours first in every case."""
        cases = self.cases[:1] if smoke else [c for c in self.cases if full or not c.full]
        ours_first = sorted(self.contenders, key=lambda contender: not contender.ours)
        return [
            (case, contender)
            for case in cases
            for contender in ours_first
            if contender.on(case) and (full or case.size not in contender.full)
        ]
