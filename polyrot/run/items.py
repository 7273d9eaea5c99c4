"""What a test carries: the measurement that it is, its protocol, and in the end its record."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from polyrot.verdict.claim import Measurement
    from polyrot.verdict.record import Record

PROPERTY = "polyrot.record"
"""Among the user properties of a test's report: its record."""


def measurement_of(item: pytest.Item) -> Measurement | None:
    """Return the measurement that a test is, if it is one."""
    mark = item.get_closest_marker("measurement")
    return mark.args[0] if mark else None


def protocol_of(item: pytest.Item) -> str:
    """Return what a claim's module says of how it is measured: all below its first line."""
    text = inspect.getdoc(item.module) if isinstance(item, pytest.Function) else None
    return (text or "").partition("\n")[2].strip()


def capabilities_asked_by(item: pytest.Function) -> tuple[Any, ...]:
    """Return the capabilities that a claim asks for by its fixtures."""
    from polyrot.suites.kind import capabilities_of

    definitions = item._fixtureinfo.name2fixturedefs.values()
    return capabilities_of([own[-1].func for own in definitions if own])


def attach(item: pytest.Item, record: Record) -> None:
    """Send a record with the test's report: it survives pytest-xdist, its figures reach JUnit."""
    from polyrot.report.junit import properties

    item.user_properties += [(PROPERTY, record.to_json()), *properties(record)]


def record_of(report: Any) -> Record | None:
    """Return the record that came with a test's report, if it is a measurement's."""
    for name, value in getattr(report, "user_properties", ()):
        if name == PROPERTY:
            from polyrot.verdict.record import Record

            return Record.from_json(value)
    return None
