"""Numbers of the pages: looked up in the verdicts of the reference runs, by a short name.

A name is `SUITE ID [PART]`, then nothing for the models' own estimate, ` - CONTROL` or
` + CONTROL` for that of a negative or positive control, and `: FIGURE` for a figure reported
beside either.  Without a part the one that decides is taken; `*` is every part.  `low of ` and
`high of ` before a name mean the ends of its interval.

    dyck3 PIR-04/published resid_post.1
    dyck3 PIR-04 resid_post.1 - untrained seed
    markov PIR-05 resid_post.0: affine
    low of markov PIR-05 *

What does not exist raises LookupError, so that no page is built with it.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from polyrot import read_verdict
from polyrot.report.words import interval, number
from polyrot.stats.estimate import Estimate
from polyrot.suites.registry import default_suites
from polyrot.verdict.claim import Kind
from polyrot.verdict.judge import Part, worst_part
from polyrot.verdict.record import Record, Report

T = TypeVar("T")

ROOT = Path(__file__).parents[2]


def _reference() -> tuple[str, ...]:
    """List the suites that `reports/` has verdicts on, in the order of a run, others at the end."""
    found = sorted(file.parent.name for file in ROOT.glob("reports/*/verdict.json"))
    order = [suite for suite in default_suites() if suite in found]
    return (*order, *(suite for suite in found if suite not in order))


REFERENCE = _reference()
REPORTS = {
    **{suite: ROOT / "reports" / suite for suite in REFERENCE},
    "example": ROOT / "build/docs/examples/dyck3",
}
"""By the name that the pages use.  `example` is what the example claim gave on `dyck3`; the
others are the reference runs."""


def verdict_file(suite: str) -> Path:
    """Name the file of a suite's verdicts, which need not be there."""
    return _among(suite, REPORTS, "suite") / "verdict.json"


def report(suite: str) -> Report:
    """Read the verdicts of a suite."""
    file = verdict_file(suite)
    if not file.is_file():
        raise LookupError(
            f"there is no {file.relative_to(ROOT).as_posix()}; `pytest docs/examples/"
            "eth_01_anisotropy.py --suite dyck3 --report-dir build/docs/examples` writes that of "
            "the example, `pytest claims/` the others"
        )
    return _read(file, file.stat().st_mtime_ns)


@lru_cache
def _read(file: Path, modified: int) -> Report:
    return read_verdict(file)


def record(name: str) -> Record:
    """Find a record by `SUITE ID`."""
    suite, _, id = name.partition(" ")
    records = {record.id: record for record in report(suite).records}
    return _among(id, records, f"measurement of {suite}")


def drawn(name: str) -> Record:
    """Find the record of `SUITE ID`, which has figures."""
    found = record(name)
    if not found.figures:
        raise LookupError(f"there is no figure of {name}")
    return found


def parts(name: str) -> tuple[Record, list[Part]]:
    """Find the parts that `SUITE ID [PART]` names."""
    suite, id, wanted = [*name.split(" ", 2), ""][:3]
    found = record(f"{suite} {id}")
    if not found.parts:
        raise LookupError(f"{suite} {id} is {found.verdict} and has no number")
    if wanted == "*":
        return found, list(found.parts)
    if not wanted:
        return found, [worst_part(found.parts)]
    by_name = {part.name: part for part in found.parts}
    return found, [_among(wanted, by_name, f"part of {suite} {id}")]


def estimates(name: str) -> list[Estimate]:
    """Find the estimates, of the models or of a control, that a name without a figure means."""
    for kind, sign in ((Kind.NEGATIVE, " - "), (Kind.POSITIVE, " + ")):
        where, found, control = name.partition(sign)
        if found:
            return [
                _among(
                    control,
                    {c.name: c.estimate for c in part.controls if c.kind is kind},
                    f"{kind} control of {where}",
                )
                for part in parts(where)[1]
            ]
    return [part.estimate for part in parts(name)[1]]


def values(name: str) -> list[float]:
    """Find what a name means: a literal number, a figure, a value or an end of its interval."""
    try:
        return [float(name)]
    except ValueError:
        pass
    for end in ("low", "high"):
        if name.startswith(f"{end} of "):
            return [getattr(own, end) for own in estimates(name.removeprefix(f"{end} of "))]
    where, found, figure = name.partition(": ")
    if found:
        return [
            float(_among(figure, own.details, f"figure of {where}")) for own in estimates(where)
        ]
    return [estimate.value for estimate in estimates(name)]


def estimate_text(name: str) -> str:
    """Write a value with its interval."""
    (estimate,) = estimates(name)
    return interval(estimate)


def value_text(name: str) -> str:
    """Write a value; of several parts, from the lowest to the highest."""
    found = values(name)
    low, high = number(min(found)), number(max(found))
    return low if low == high else f"{low} to {high}"


def verdict_text(name: str) -> str:
    """Write a verdict; `SUITE ID = VERDICT` fails where it is another."""
    where, _, asserted = name.partition(" = ")
    suite, id, wanted = [*where.split(" ", 2), ""][:3]
    found = record(f"{suite} {id}").verdict
    if wanted:
        found = parts(where)[1][0].verdict
    if asserted and asserted != found:
        raise LookupError(f"{where} is {found}, and the text around it was written for {asserted}")
    return str(found)


def printed_text(name: str) -> str:
    """Write the number that the paper prints, as the claim quotes it."""
    printed = record(name).printed
    if not printed:
        raise LookupError(f"{name} has no printed number")
    return printed


def check(statement: str) -> None:
    """Raise LookupError unless a statement holds.

    It is `LEFT < RIGHT` or `LEFT > RIGHT`, for every part of each, or `SUITE ID [PART] = VERDICT`.
    """
    if " = " in statement:
        verdict_text(statement)
        return
    for sign in (" < ", " > "):
        left, found, right = statement.partition(sign)
        if found:
            smaller, larger = (left, right) if sign == " < " else (right, left)
            if max(values(smaller)) < min(values(larger)):
                return
            raise LookupError(
                f"the text around it needs {statement}, but these are {value_text(left)} and "
                f"{value_text(right)}"
            )
    raise LookupError(
        f"expected LEFT < RIGHT or LEFT > RIGHT, or NAME = VERDICT, but got {statement!r}"
    )


def verdicts_of(claim: str) -> list[tuple[str, Record]]:
    """List the records of a claim on every reference suite that judged it."""
    found = [
        (suite, record)
        for suite in REFERENCE
        for record in sorted(report(suite).records, key=lambda r: r.is_published)
        if record.claim == claim and record.parts
    ]
    if not found:
        raise LookupError(f"no reference run measured a claim {claim!r}")
    return found


def _among(name: str, known: Mapping[str, T], what: str) -> T:
    if name not in known:
        raise LookupError(f"there is no {what} {name!r}, only {', '.join(known) or 'none'}")
    return known[name]
