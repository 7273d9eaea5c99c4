"""The names that every module of claims imports."""

from polyrot.errors import NotRun
from polyrot.stats.average import Measured, Unmeasured, average, average_by_part
from polyrot.stats.estimate import Estimate, exact, monte_carlo_p, share_of_seeds
from polyrot.stats.scale import Scale
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import (
    MODELS,
    Claim,
    Measurement,
    Precondition,
    Printed,
    Worlds,
    negative,
    positive,
)
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import (
    ByDose,
    ByPart,
    Curve,
    against_each_other,
    control_curves,
)
from polyrot.verdict.run import Judge

__all__ = [
    "MODELS",
    "Bar",
    "ByDose",
    "ByPart",
    "Claim",
    "Curve",
    "Estimate",
    "Figure",
    "Judge",
    "Mark",
    "Measured",
    "Measurement",
    "NotRun",
    "Precondition",
    "Printed",
    "Role",
    "Scale",
    "Series",
    "Unmeasured",
    "Worlds",
    "against_each_other",
    "average",
    "average_by_part",
    "control_curves",
    "exact",
    "monte_carlo_p",
    "negative",
    "positive",
    "share_of_seeds",
]
