"""The data of a test: its measurement, its protocol and, after it ran, its record."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from polyrot.verdict.claim import Measurement
    from polyrot.verdict.record import Record

PROPERTY = "polyrot.record"
"""The user property of a test's report that holds its record."""


def measurement_of(item: pytest.Item) -> Measurement | None:
    """Return the measurement that a test is marked with, if any."""
    mark = item.get_closest_marker("measurement")
    return mark.args[0] if mark else None


def protocol_of(item: pytest.Item) -> str:
    """Return the protocol in the docstring of a claim's module: all but its first line."""
    text = inspect.getdoc(item.module) if isinstance(item, pytest.Function) else None
    return (text or "").partition("\n")[2].strip()


def capabilities_asked_by(item: pytest.Function) -> tuple[Any, ...]:
    """Return the capabilities that a claim requests by its fixtures."""
    from polyrot.suites.kind import capabilities_of

    definitions = item._fixtureinfo.name2fixturedefs.values()
    return capabilities_of([overrides[-1].func for overrides in definitions if overrides])


def attach(item: pytest.Item, record: Record) -> None:
    """Attach a record to the test's report, so that it survives pytest-xdist and reaches JUnit."""
    from polyrot.report.junit import properties

    item.user_properties += [(PROPERTY, record.to_json()), *properties(record)]


def record_of(report: Any) -> Record | None:
    """Return the record attached to a test's report, if it is a measurement's."""
    for name, value in getattr(report, "user_properties", ()):
        if name == PROPERTY:
            from polyrot.verdict.record import Record

            return Record.from_json(value)
    return None
