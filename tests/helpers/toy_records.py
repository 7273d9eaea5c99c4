"""Records and reports judged by hand."""

from judged import judged

from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.calibration import Characteristic
from polyrot.verdict.claim import Claim, Kind, Measurement
from polyrot.verdict.record import Record, Report

BAR = Bar.at_least(0.5, "score")


def estimate(value: float, half: float = 0.1) -> Estimate:
    return Estimate(value, value - half, value + half, "seed", 20, "by hand")


def toy(
    *,
    id: str = "TOY-01",
    bar: Bar = BAR,
    noise: float = 0.0,
    known: Characteristic | None = None,
    proxy: str = "",
    **parts: float,
) -> Record:
    """Judge a claim by hand: a value a part, one negative control and one positive."""
    controls = [
        ("noise", Kind.NEGATIVE, estimate(noise)),
        ("rotated", Kind.POSITIVE, estimate(1.0)),
    ]
    parts_judged = tuple(
        judged(name, bar, estimate(value), controls, proxy=proxy, characteristic=known)
        for name, value in (parts or {"all": 0.9}).items()
    )
    measurement = Measurement(Claim(id, "The number is large", "a toy"), bar, ())
    return Record.of(measurement, "toy", parts=parts_judged, characteristic=known)


def of(*records: Record, **provenance: object) -> Report:
    return Report("toy", records, provenance)
