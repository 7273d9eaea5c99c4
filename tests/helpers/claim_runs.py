"""Runs of a claim's own test function on a suite that was made here."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from polyrot.stats.estimate import Estimate
from polyrot.suites.capability import Capability
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.record import Record
from polyrot.verdict.run import run

CLAIMS = Path(__file__).parents[2] / "claims"


@lru_cache
def claim_module(id: str) -> ModuleType:
    """Import the module of a claim, a copy for these tests."""
    (path,) = CLAIMS.glob(f"*/{id.lower().replace('-', '_')}_*.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_interval(bars: Mapping[str, Bar], estimates: Mapping[str, Estimate]) -> dict[str, Placement]:
    """Place by 95% intervals: planted cohorts are too small for the levels of `place_parts`."""
    return {part: bars[part].place(estimate) for part, estimate in estimates.items()}


def measured(id: str, which: str, suite: Suite, *, drawn: bool = True) -> Record:
    """Run a claim's own test function, with a judge that returns the record.

    `which` is `hardened` or `published`; the test gets the capabilities that its fixtures give it.
    Figures take time, and are left out if not `drawn`.
    """
    module, records = claim_module(id), []

    def judge(
        measure: Callable[..., dict[str, Estimate]], *, figures: Any = (), **options: Any
    ) -> None:
        measurement = getattr(module, which.upper())
        if not drawn:
            measurement, figures = replace(measurement, figures=()), ()
        records.append(run(measurement, measure, suite="planted", figures=figures, **options))

    test = getattr(module, f"test_{which}")
    asked = {
        name: suite.get(capability)
        for name, capability in get_type_hints(test).items()
        if isinstance(capability, type) and issubclass(capability, Capability)
    }
    test(**asked, judge=judge)
    (record,) = records
    return record
