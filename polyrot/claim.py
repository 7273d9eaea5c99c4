"""All that a module of claims imports besides what it measures."""

from polyrot.errors import NotRun as NotRun
from polyrot.stats.average import Measured as Measured
from polyrot.stats.average import average as average
from polyrot.stats.average import average_by_part as average_by_part
from polyrot.stats.estimate import Estimate as Estimate
from polyrot.stats.estimate import exact as exact
from polyrot.stats.estimate import monte_carlo_p as monte_carlo_p
from polyrot.verdict.bar import Bar as Bar
from polyrot.verdict.claim import Claim as Claim
from polyrot.verdict.claim import Measurement as Measurement
from polyrot.verdict.claim import Printed as Printed
from polyrot.verdict.claim import negative as negative
from polyrot.verdict.claim import positive as positive
from polyrot.verdict.figure import Figure as Figure
from polyrot.verdict.figure import Mark as Mark
from polyrot.verdict.figure import Role as Role
from polyrot.verdict.figure import Series as Series
from polyrot.verdict.figures import ByDose as ByDose
from polyrot.verdict.figures import ByPart as ByPart
from polyrot.verdict.figures import Curve as Curve
from polyrot.verdict.figures import Worlds as Worlds
from polyrot.verdict.figures import against_each_other as against_each_other
from polyrot.verdict.figures import control_curves as control_curves
from polyrot.verdict.run import MODELS as MODELS
from polyrot.verdict.run import Judge as Judge

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
    "Printed",
    "Role",
    "Series",
    "Worlds",
    "against_each_other",
    "average",
    "average_by_part",
    "control_curves",
    "exact",
    "monte_carlo_p",
    "negative",
    "positive",
]
