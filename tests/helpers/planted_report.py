"""A report of records that are hard to show: long names, no intervals, infinities, markup."""

import math

from polyrot.stats.estimate import Estimate, exact, jackknife, monte_carlo_p
from polyrot.verdict.bar import Bar
from polyrot.verdict.calibration import Cell, Characteristic
from polyrot.verdict.claim import Claim, Kind, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record, Report
from polyrot.verdict.run import run

LONG = "a control whose name is as long as a sentence and has no end that anybody can see"
MARKUP = "<b>less & more</b>"


def pairs_about(centre: float) -> Estimate:
    """Five seeds, all ordered pairs."""
    values = {(i, j): centre + 0.01 * (i - 2) for i in range(5) for j in range(5) if i != j}
    return jackknife(values, details={"mean EV": 0.5, "note": MARKUP})


def whole_line(value: float) -> Estimate:
    return Estimate(value, -math.inf, math.inf, "seed", 2, "2 seeds give no interval")


def series(role: Role, x: tuple[float | str, ...], y: tuple[float, ...]) -> Series:
    return Series(f"_of {role}, $x_$, {MARKUP}", role, x, y)


FIGURES = (
    Figure(
        "curves",
        "Curves of " + MARKUP,
        MARKUP,
        "dose",
        "effect",
        Mark.LINES,
        tuple(series(role, (0.0, 1.0, 2.0), (0.0, 1.0, float(i))) for i, role in enumerate(Role)),
    ),
    Figure(
        "sites",
        "By site",
        "Sites with long names",
        "",
        "EV",
        Mark.POINTS,
        (
            Series(
                "with intervals",
                Role.MODELS,
                ("resid_post.0", "resid_post.1", "resid_post.2"),
                (0.5, 0.6, -math.inf),
                (0.4, -math.inf, -math.inf),
                (0.6, math.inf, math.inf),
            ),
            series(Role.NEGATIVE, ("resid_post.0", "resid_post.2"), (0.1, 0.2)),
        ),
        bar=(0.3, 0.55),
    ),
    Figure(
        "pvalues",
        "p-values",
        "On a logarithmic axis",
        "",
        "p",
        Mark.POINTS,
        (
            Series(
                "with intervals",
                Role.MODELS,
                ("resid_post.0", "resid_post.1"),
                (0.002, 1.0),
                (0.0, 1.0),
                (0.003, 1.0),
            ),
        ),
        bar=(0.05,),
        log_y=True,
    ),
    Figure(
        "effects",
        "Effects",
        "Points",
        "measured",
        "predicted",
        Mark.POINTS,
        (series(Role.MODELS, (0.1, 0.2, 0.5), (0.1, 0.25, 0.4)),),
        diagonal=True,
    ),
    Figure(
        "histogram",
        "Histogram",
        "With a band",
        "angle",
        "share",
        Mark.STEPS,
        (
            Series("null", Role.NULL, (0.0, 1.0, 2.0), (0.4, 0.6), (0.3, 0.5), (0.5, 0.7)),
            series(Role.MODELS, (0.0, 1.0, 2.0), (0.45, 0.55)),
        ),
    ),
)


def claim(id: str, statement: str = "The number is large") -> Claim:
    return Claim(id, statement, "a toy, Figure 1", {"toy": "0.93; about 4x"})


def record(
    id: str, bar: Bar, models: dict[str, Estimate], controls: dict[str, tuple[Kind, float]]
) -> Record:
    """Run a measurement whose worlds are numbers."""
    worlds = tuple(
        (negative if kind is Kind.NEGATIVE else positive)(name, value)
        for name, (kind, value) in controls.items()
    )
    printed = {"toy": (Printed((0.9, 0.95), "two seeds"), Printed((0.8, 0.97), "all", ends=True))}
    measurement = Measurement(claim(id), bar, worlds, printed=printed)

    def measure(world: float | None = None) -> dict[str, Estimate]:
        if world is None:
            return models
        return {part: exact(world, unit="seed", n=5, method="by hand") for part in models}

    cells = (Cell("haar", 20, 20),), (Cell("identity", 0, 20), Cell("unrelated", 0, 20))
    return run(
        measurement,
        measure,
        suite="toy",
        protocol="Measured by hand.\n\nHardened: by the other hand, " + MARKUP + ".",
        characteristic=Characteristic(*cells),
        figures=[lambda worlds: FIGURES] if id == "TOY-01" else (),
    )


def report() -> Report:
    bad, good = Kind.NEGATIVE, Kind.POSITIVE
    records = [
        record(
            "TOY-01",
            Bar.at_least(0.5, "score"),
            {"resid_post.0": pairs_about(0.9), "resid_post.1": pairs_about(0.7)},
            {LONG: (bad, 0.1), "rotated": (good, 1.0)},
        ),
        record("TOY-02", Bar.below(1e-4, "KL"), {"all": pairs_about(1e-3)}, {"x": (bad, 1.8)}),
        record(
            "TOY-03",
            Bar.between(0.95, 1.05, "ratio of " + MARKUP),
            {"all": pairs_about(1.0)},
            {MARKUP: (bad, 1.01), "far": (good, -1e6)},
        ),
        record("TOY-04", Bar.at_least(0.5, "score"), {"one": whole_line(0.7)}, {"x": (bad, 0.0)}),
        record("TOY-05", Bar.at_least(0.5, "score"), {"none": whole_line(-math.inf)}, {}),
        record("TOY-06", Bar.at_least(0.05, "p"), {"all": monte_carlo_p(0, 2_000)}, {}),
        record("TOY-07", Bar.at_least(0.5, "score"), {"all": pairs_about(0.5)}, {}),
        *(
            Record.of(
                Measurement(claim(id), Bar.at_least(0.5, "score"), ()),
                "toy",
                verdict=verdict,
                reason="ValueError: " + MARKUP,
            )
            for id, verdict in (("TOY-08", Verdict.ERROR), ("TOY-09", Verdict.NOT_RUN))
        ),
    ]
    provenance = {"commit": "0" * 40, "machine": {"cores": 2, "processor": MARKUP}, "seeds": [0, 1]}
    timing = {"finished": "2026-01-02T03:04:05Z", "seconds": {"TOY-01": 1.5}}
    return Report("toy", tuple(records), provenance, timing)
