"""Everything about one judged measurement, and its JSON form.

Schema 5 of `verdict.json`: `{schema, metrics, suite, verdicts, records, provenance,
timing}`.  Two runs on one machine differ only in `timing`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from polyrot.locations import judging
from polyrot.stats.estimate import Estimate
from polyrot.stats.scale import Scale
from polyrot.verdict.bar import Placement
from polyrot.verdict.calibration import Cell, Characteristic
from polyrot.verdict.claim import Kind, Measurement, Printed
from polyrot.verdict.figure import Figure, figure_from_json
from polyrot.verdict.judge import ControlResult, Met, Part, Verdict, roll_up, worst_part
from polyrot.verdict.undecided import Cause, Help, Undecided

SCHEMA = 5
METRICS = 2
"""Version of the definitions of the measured quantities; raised when one changes."""


@dataclass(frozen=True)
class Record:
    """One measurement of one claim on one suite, judged."""

    id: str
    claim: str
    statement: str
    source: str
    printed: str
    suite: str
    bar: str
    quantity: str
    verdict: Verdict
    reason: str
    parts: tuple[Part, ...] = ()
    characteristic: Characteristic | None = None
    """How often the bar is met in worlds of known truth, if that was measured."""
    region: tuple[float, float] = (-math.inf, math.inf)
    """The ends of the bar."""
    unreachable: str = ""
    """Which verdict no models can get, and why; empty if both can be had."""
    printed_numbers: tuple[Printed, ...] = ()
    """The published numbers of the bar's quantity."""
    protocol: str = ""
    """What is measured, how, and where that differs from the paper."""
    figures: tuple[Figure, ...] = ()
    not_drawn: str = ""
    """Why the figures were not drawn; empty if they were, or if there are none."""
    seconds: float = 0.0

    @classmethod
    def of(
        cls,
        measurement: Measurement,
        suite: str,
        *,
        parts: tuple[Part, ...] = (),
        verdict: Verdict | None = None,
        reason: str = "",
        printed: str = "",
        characteristic: Characteristic | None = None,
        protocol: str = "",
        figures: tuple[Figure, ...] = (),
        not_drawn: str = "",
        seconds: float = 0.0,
    ) -> "Record":
        """Build a record from judged parts, or from a verdict without parts."""
        if verdict is None:
            verdict, reason = roll_up(parts)
        claim, bar = measurement.claim, measurement.bar
        return cls(
            id=measurement.id,
            claim=claim.id,
            statement=claim.statement,
            source=claim.source,
            printed=printed or claim.printed.get(suite, ""),
            suite=suite,
            bar=measurement.bar_text,
            quantity=measurement.quantity,
            verdict=verdict,
            reason=reason,
            parts=parts,
            characteristic=characteristic,
            region=bar.region,
            unreachable=measurement.unreachable,
            printed_numbers=measurement.printed.get(suite, ()),
            protocol=protocol,
            figures=figures,
            not_drawn=not_drawn,
            seconds=seconds,
        )

    @property
    def undecided(self) -> Undecided | None:
        """Why it is INCONCLUSIVE, and what would decide it: of the part that decides.

        Of several that lack seeds, that which wants the most.
        """
        why = worst_part(self.parts).undecided if self.parts else None
        if why is None or why.seeds is None:
            return why
        alike = [p.undecided for p in self.parts if p.undecided and p.undecided.seeds]
        return max(alike, key=lambda one: [seeds or math.inf for seeds in one.seeds or ()])

    @property
    def is_published(self) -> bool:
        """Is this the measurement by the author's definition, not the hardened one?"""
        return self.id.endswith("/published")

    def to_json(self) -> str:
        return json.dumps(plain(asdict(self)))

    @classmethod
    def from_json(cls, text: str) -> "Record":
        return _record(json.loads(text))


@dataclass(frozen=True)
class Report:
    """All records of one suite, with where they came from."""

    suite: str
    records: tuple[Record, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)
    metrics: int = METRICS
    """Version of the definitions by which the quantities were measured."""

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """Verdict by measurement."""
        return {record.id: record.verdict for record in self.records}

    def to_json(self) -> str:
        records = []
        for record in self.records:
            fields = asdict(record)
            del fields["seconds"]
            records.append(fields)
        document = {
            "schema": SCHEMA,
            "metrics": self.metrics,
            "suite": self.suite,
            "verdicts": self.verdicts,
            "records": records,
            "provenance": self.provenance,
            "timing": self.timing,
        }
        return json.dumps(plain(document), indent=1) + "\n"


def read_verdict(path: str | Path) -> Report:
    """Read a `verdict.json` that an earlier run wrote.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: where the file is not one, or has another schema.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"Expected the verdicts of an earlier run in {file}: no such file; `{judging()}` "
            "writes a verdict.json for each suite"
        )
    try:
        document = json.loads(file.read_text())
        schema = document["schema"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"Expected a verdict.json as `{judging()}` writes it but {file} is not one"
        ) from None
    if schema != SCHEMA:
        raise ValueError(
            f"Expected schema {SCHEMA} in {file} but got {schema!r}; `{judging()}` of this "
            "version writes it anew"
        )
    try:
        return Report(
            document["suite"],
            tuple(_record(fields) for fields in document["records"]),
            dict(document["provenance"]),
            dict(document["timing"]),
            document["metrics"],
        )
    except KeyError as error:
        raise ValueError(
            f"Expected a whole verdict.json but {file} lacks {error}; `{judging()}` writes it anew"
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"Expected a verdict.json as `{judging()}` writes it but {file} was altered: {error}"
        ) from None


def _record(fields: dict[str, Any]) -> Record:
    parts = tuple(_part(part) for part in fields["parts"])
    known = fields["characteristic"]
    characteristic = known and Characteristic(
        *(tuple(Cell(**cell) for cell in known[kind]) for kind in ("true", "false"))
    )
    low, high = fields["region"]
    return Record(
        **{
            **fields,
            "verdict": Verdict(fields["verdict"]),
            "parts": parts,
            "characteristic": characteristic,
            "region": (float(low), float(high)),
            "printed_numbers": tuple(_printed(numbers) for numbers in fields["printed_numbers"]),
            "figures": tuple(figure_from_json(figure) for figure in fields["figures"]),
        }
    )


def _printed(fields: dict[str, Any]) -> Printed:
    numbers, parts = tuple(fields["numbers"]), tuple(fields["parts"])
    return Printed(**{**fields, "numbers": numbers, "parts": parts})


def _part(fields: dict[str, Any]) -> Part:
    own, met, why = fields["region"], fields["precondition"], fields["undecided"]
    return Part(
        **{
            **fields,
            **_placed(fields),
            "margin": float(fields["margin"]),
            "controls": tuple(_control(c) for c in fields["controls"]),
            "verdict": Verdict(fields["verdict"]),
            "region": own and (float(own[0]), float(own[1])),
            "precondition": met and Met(**{**met, **_placed(met)}),
            "undecided": why and _undecided(why),
        }
    )


def _control(fields: dict[str, Any]) -> ControlResult:
    less = fields["difference"]
    return ControlResult(
        fields["name"],
        Kind(fields["kind"]),
        **_placed(fields),
        difference=less and estimate_from_json(less),
    )


def _placed(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "estimate": estimate_from_json(fields["estimate"]),
        "placement": Placement(fields["placement"]),
    }


def _undecided(fields: dict[str, Any]) -> Undecided:
    seeds = fields["seeds"] and tuple(fields["seeds"])
    return Undecided(Cause(fields["cause"]), Help(fields["help"]), fields["advice"], seeds)


def estimate_from_json(fields: dict[str, Any]) -> Estimate:
    """Read an estimate back; infinities were written as strings."""
    numbers = {key: float(fields[key]) for key in ("value", "low", "high")}
    return Estimate(**{**fields, **numbers, "scale": Scale(fields["scale"])})


def plain(value: Any) -> Any:
    """Convert to JSON values: ten significant digits, infinities and nan as strings."""
    if isinstance(value, float):
        return float(f"{value:.10g}") if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
