"""Judge one part by hand-made estimates."""

from collections.abc import Sequence
from typing import Any

from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Kind
from polyrot.verdict.judge import ControlResult, Evidence, Part, judge
from polyrot.verdict.levels import place_parts


def judged(
    name: str,
    bar: Bar,
    estimate: Estimate,
    controls: Sequence[tuple[str, Kind, Estimate]] = (),
    **evidence: Any,
) -> Part:
    """Place an estimate and its controls, and judge them; `evidence` as for `Evidence`."""
    return judge(
        name,
        Evidence(
            bar,
            estimate,
            place_parts({name: bar}, {name: estimate})[name],
            controls=tuple(
                ControlResult.of(control, kind, bar, found, estimate)
                for control, kind, found in controls
            ),
            **evidence,
        ),
    )
