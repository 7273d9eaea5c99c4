"""A verdict report as one page that needs no network and no scripts."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from polyrot.locations import judging
from polyrot.report.conclusion import findings
from polyrot.report.html.drawing import DARK, LIGHT, drawing
from polyrot.report.html.picture import Picture, picture
from polyrot.report.words import (
    MEANINGS,
    bar_of,
    controls_sentence,
    details,
    differences,
    interval,
    number,
    operating_characteristic,
    prediction,
    presupposed,
    what_would_decide,
)
from polyrot.verdict.figure import Figure
from polyrot.verdict.judge import Verdict, worst_part
from polyrot.verdict.record import Record, Report

SYMBOLS = {
    Verdict.REPLICATED: "\N{CHECK MARK}",
    Verdict.REFUTED: "\N{MULTIPLICATION X}",
    Verdict.VACUOUS: "\N{EMPTY SET}",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_RUN: "\N{EN DASH}",
    Verdict.ERROR: "!",
}
"""Symbols by which a verdict is recognisable without its colour."""


@dataclass(frozen=True)
class Card:
    """One claim and its measurements; the deciding one comes first."""

    id: str
    records: tuple[Record, ...]
    command: str
    """Runs this claim again, with its report in a separate folder."""

    @property
    def first(self) -> Record:
        return self.records[0]


@dataclass(frozen=True)
class Shown:
    """A record with its pictures."""

    record: Record

    @cached_property
    def deciding(self) -> Picture | None:
        """The picture of the part that decides."""
        return picture(self.record, worst_part(self.record.parts)) if self.record.parts else None

    @property
    def others(self) -> list[Picture]:
        """The pictures of the other parts."""
        decides = self.deciding.part if self.deciding else ""
        return [picture(self.record, part) for part in self.record.parts if part.name != decides]


def page(report: Report) -> str:
    """Render all records of a suite.

    Equal reports give equal text except for the timing block, if they are rendered from the same
    folder: the command on a card is written for that folder.
    """
    loader = PackageLoader("polyrot.report.html", "templates")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["figure"] = _figure
    environment.filters["detail"] = _detail
    environment.filters["code"] = _code
    counts = Counter(record.verdict for record in report.records)
    return environment.get_template("page.html.j2").render(
        report=report,
        cards=_cards(report),
        shown=Shown,
        counts=[(verdict, counts[verdict]) for verdict in Verdict if counts[verdict]],
        sentence=findings(report.records),
        symbols=SYMBOLS,
        meanings=MEANINGS,
        colors={"light": LIGHT, "dark": DARK},
        css=lambda name: Markup(loader.get_source(environment, name)[0]),  # noqa: S704
        interval=interval,
        prediction=prediction,
        bar_of=bar_of,
        what_would_decide=what_would_decide,
        presupposed=presupposed,
        differences=differences,
        details=lambda estimate: details(estimate, _detail),
        controls_sentence=controls_sentence,
        operating_characteristic=operating_characteristic,
        provenance=_provenance(report.provenance),
        seconds=sum(report.timing.get("seconds", {}).values()),
    )


def _cards(report: Report) -> list[Card]:
    by_claim: dict[str, list[Record]] = {}
    for record in report.records:
        by_claim.setdefault(record.claim, []).append(record)
    suite = shlex.quote(report.provenance.get("suite", report.suite))
    return [
        Card(
            claim,
            tuple(sorted(records, key=lambda record: record.is_published)),
            f"{judging()} --suite {suite} -k {shlex.quote(claim)} --report-dir again",
        )
        for claim, records in by_claim.items()
    ]


def _figure(figure: Figure, of: str) -> Markup:
    return Markup(drawing(figure, of=of))  # noqa: S704 - made here; matplotlib escapes texts


def _detail(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _code(text: str) -> Markup:
    """Mark up text between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S704 - escaped


def _provenance(provenance: Mapping[str, Any]) -> list[tuple[str, Sequence[tuple[str, str]] | str]]:
    """List the facts recorded about the run: each name with a text, or with named texts."""
    return [
        (
            name,
            [(str(key), _said(text)) for key, text in value.items()]
            if isinstance(value, Mapping)
            else _said(value),
        )
        for name, value in provenance.items()
    ]


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
