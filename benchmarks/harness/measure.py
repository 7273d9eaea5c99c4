"""The clock: warm-up, rounds, median, and the agreement that a time needs to count."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from harness.group import Case, Contender, Group
from harness.machine import synchroniser
from harness.memory import Peak
from harness.rows import Row

SLOW, LONG = 5.0, 2.0
"""Seconds of a call from which one round has to do, and two."""
BUDGET, SMOKE_BUDGET = 1.0, 0.2
"""Seconds of all rounds of a row, where three rounds take less."""
ROUNDS = (3, 40)


def rounds_for(seconds: float, budget: float) -> int:
    """Choose the rounds of a call that takes so long."""
    if seconds > LONG:
        return 1 if seconds > SLOW else 2
    fewest, most = ROUNDS
    return max(fewest, min(most, int(budget / max(seconds, 1e-9))))


class Measure:
    """Times one contender on one case, then wants to know how well it agrees.

    `measure(call)` times `call()` and returns what it returned; `measure.agrees(error, at_most)`
    says how far that is from the reference.  Both are needed for a row.
    """

    def __init__(
        self,
        benchmark: Any,
        group: Group,
        case: Case,
        contender: Contender,
        *,
        device: str = "cpu",
        smoke: bool = False,
    ) -> None:
        """Prepare the row; `benchmark` is pytest-benchmark's fixture."""
        self.device, self.smoke = device, smoke
        self._benchmark, self._group = benchmark, group
        self._case, self._contender = case, contender
        self._timed: dict[str, Any] = {}
        self._error: float | None = None

    def __call__(
        self,
        call: Callable[[], Any],
        *,
        per: float = 1,
        operations: float | None = None,
        bytes_moved: float | None = None,
        precision: str = "float64",
        memory: bool = False,
        note: str = "",
    ) -> Any:
        """Time a call: once to warm up and to choose the rounds, then the rounds.

        Args:
            call: without arguments; what it computes must be the same in every round.
            per: units that one call does; time, operations and bytes are divided by it.
            operations: arithmetic that the job needs, where a roofline makes sense.
            bytes_moved: traffic with main memory that it needs.
            precision: whose ceiling the operations have.
            memory: record the peak memory of the rounds.
            note: shown under the table.
        """
        synchronise = synchroniser(self.device)

        def timed() -> Any:
            result = call()
            synchronise()
            return result

        rounds = 1
        if self._case.size not in self._contender.slow:
            start = perf_counter()
            timed()
            rounds = rounds_for(perf_counter() - start, SMOKE_BUDGET if self.smoke else BUDGET)
        self._benchmark.group = f"{self._group.name} {self._case}"
        peak = Peak(self.device) if memory else None

        def before() -> None:
            synchronise()
            if peak is not None:
                peak.before()

        result = self._benchmark.pedantic(
            timed, setup=before, teardown=peak.after if peak else None, rounds=rounds
        )
        self._timed = {
            "seconds": self._benchmark.stats.stats.median / per,
            "rounds": rounds,
            "peak_bytes": peak.bytes if peak else None,
            "operations": None if operations is None else operations / per,
            "bytes_moved": None if bytes_moved is None else bytes_moved / per,
            "precision": precision,
            "note": note,
        }
        return result

    def agrees(self, error: float, at_most: float | None = None) -> None:
        """Record the disagreement; fail where it is above `at_most`.

        Without a limit it is only shown: for a contender that is known to be imprecise.
        """
        self._error = float(error)
        assert at_most is None or self._error <= at_most, (
            f"{self._contender.name} on {self._group.name} [{self._case}]: "
            f"{self._group.error} is {self._error:.3g}, more than {at_most:.3g}"
        )

    def row(self) -> Row:
        """Put the row together.

        Raises:
            RuntimeError: where the benchmark did not time, or did not compare.
        """
        if not self._timed or self._error is None:
            raise RuntimeError(
                f"Expected the benchmark of {self._group.name} to call measure(...) and "
                "measure.agrees(...) but one is missing: a time counts only beside a result "
                "that was checked"
            )
        row = Row(
            self._group.name,
            str(self._case),
            self._case.size,
            self._contender.name,
            self._contender.ours,
            error=self._error,
            at_least=self._contender.target(self._case),
            plotted=self._case.plotted,
            **self._timed,
        )
        self._benchmark.extra_info.update(
            contender=row.contender, case=row.case, error=row.error, ours=row.ours
        )
        return row
