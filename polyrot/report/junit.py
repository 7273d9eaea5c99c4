"""The properties of a measurement in its test's JUnit entry."""

from polyrot.verdict.judge import worst_part
from polyrot.verdict.record import Record


def properties(record: Record) -> list[tuple[str, str]]:
    """List names and values: verdict, reason, and the figures of the deciding part."""
    named = {
        "measurement": record.id,
        "suite": record.suite,
        "verdict": str(record.verdict),
        "reason": record.reason,
        "quantity": record.quantity,
        "bar": record.bar,
    }
    if record.parts:
        part = worst_part(record.parts)
        named["part"] = part.name
        for name, value in (
            ("value", part.estimate.value),
            ("interval_low", part.estimate.low),
            ("interval_high", part.estimate.high),
        ):
            named[name] = f"{value:.10g}"
    return list(named.items())
