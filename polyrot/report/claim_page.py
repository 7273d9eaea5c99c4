"""The full description of a claim, for `polyrot claims show`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from polyrot.catalogue import Listed, measurements_of
from polyrot.report.columns import entry, paragraphs
from polyrot.report.words import interval
from polyrot.verdict.calibration import Calibration, Cell
from polyrot.verdict.claim import Kind, Measurement
from polyrot.verdict.judge import worst_part
from polyrot.verdict.record import METRICS, Record, Report

MARGIN = 19


def claim_page(
    claim: Listed,
    module: ModuleType,
    calibration: Calibration | None,
    reports: Mapping[Path, Report],
    only: str = "",
) -> Iterator[str]:
    """Yield a claim's statement, protocol and verdicts; `only` may name a single measurement."""
    measurements = [m for m in measurements_of(module) if m.claim.id == claim.id]
    known = measurements[0].claim
    yield from entry(known.id, known.statement, MARGIN)
    yield from entry("source", known.source, MARGIN)
    for number, (suite, printed) in enumerate(known.printed.items()):
        yield from entry("" if number else "published", f"{suite}: {printed}", MARGIN)
    yield from entry("module", str(claim.file), MARGIN)
    yield from ("", "Protocol", "")
    yield from paragraphs(module.__doc__ or "none is written", 2)
    for measurement in [m for m in measurements if only in ("", m.id)]:
        kind = "as published" if measurement.published else "hardened"
        yield from ("", f"{measurement.id}, {kind}", "")
        yield from _measurement(measurement, calibration)
        yield from _verdicts(measurement, reports)
    if reports:
        yield ""
        yield from entry("reports", " ".join(map(str, reports)), MARGIN)


def _measurement(measurement: Measurement, calibration: Calibration | None) -> Iterator[str]:
    bar = measurement.bar
    yield from entry("bar", f"{bar.quantity} {bar}", MARGIN, indent=2)
    for kind, said in ((Kind.NEGATIVE, "must miss it"), (Kind.POSITIVE, "must meet it")):
        controls = [
            c.name + (f" ({', '.join(c.parts)} only)" if c.parts else "")
            for c in measurement.controls
            if c.kind is kind
        ]
        yield from entry(said, ", ".join(controls) or "no control", MARGIN, indent=2)
    found = calibration.characteristic(measurement, METRICS) if calibration else None
    if found is None:
        yield from entry("calibrated", _uncalibrated(measurement, calibration), MARGIN, indent=2)
        return
    for label, cells in (("met where true", found.true), ("met where false", found.false)):
        yield from entry(label, _counts(cells), MARGIN, indent=2)


def _counts(cells: Sequence[Cell]) -> str:
    return ", ".join(f"{c.world} {c.met}/{c.draws}" for c in cells) or "no world"


def _uncalibrated(measurement: Measurement, calibration: Calibration | None) -> str:
    if calibration is None:
        return "no: there is no calibration matrix; `polyrot calibrate` measures it"
    if not (measurement.claim.true_in or measurement.claim.false_in):
        return "no: the claim is about models, which synthetic worlds do not have"
    rows = [row for row in calibration.rows if row.id == measurement.id]
    if rows and rows[0].not_run:
        return f"no: {rows[0].not_run}"
    return "no: the matrix lacks this bar in some world that the claim names"


def _verdicts(measurement: Measurement, reports: Mapping[Path, Report]) -> Iterator[str]:
    found = [
        record
        for report in reports.values()
        for record in report.records
        if record.id == measurement.id
    ]
    if not found:
        yield from entry("last verdicts", "none", MARGIN, indent=2)
        return
    yield "  last verdicts"
    width = max(len(record.suite) for record in found) + 2
    for record in found:
        said = _deciding(record) if record.parts else record.reason
        label = f"{record.suite:<{width}}{record.verdict:<14}"
        yield from entry(label.rstrip(), said, 4 + len(label), indent=4)


def _deciding(record: Record) -> str:
    part = worst_part(record.parts)
    name = f"{part.name}: " if len(record.parts) > 1 else ""
    return f"{name}{interval(part.estimate)}"
