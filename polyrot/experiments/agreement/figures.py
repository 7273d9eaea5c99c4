"""Areas under the curve by depth: as details of an estimate, and drawn."""

import re
from collections.abc import Sequence

from polyrot.experiments.agreement.axes import INTERVENTIONS
from polyrot.stats.estimate import Estimate
from polyrot.verdict.claim import MODELS, Worlds
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import detail_of

_NAME = "{size} behind block {block}"
_PATTERN = re.compile(r"(\S.*) behind block (\d+)")


def by_depth(size: str, areas: Sequence[float]) -> dict[str, float]:
    """Name the areas of an intervention after every block, to average them over a size's seeds."""
    return {_NAME.format(size=size, block=block): area for block, area in enumerate(areas)}


def depth_figures(worlds: Worlds) -> list[Figure]:
    """Draw those areas, one figure per size."""
    curves: dict[str, dict[str, Series]] = {}
    for part, estimate in worlds[MODELS].items():
        intervention = part.rpartition(", ")[2]
        for size, blocks in _blocks(estimate).items():
            areas = [detail_of(estimate, _NAME.format(size=size, block=b)) for b in blocks]
            role = Role.MODELS if intervention == "keep" else Role.BESIDE
            x = tuple(map(float, blocks))
            series = Series(intervention, role, x, *zip(*areas, strict=True))
            curves.setdefault(size, {})[intervention] = series
    return [
        Figure(
            f"depth-{size}",
            f"Agreement after interventions, {size}",
            "Area under the ROC curve of the plural margin on the held-out prompts, when the core "
            "is kept alone, removed or flipped after each block, at the last token; mean over "
            "seeds. 0.5 is chance.",
            "block",
            "AUC",
            Mark.LINES,
            tuple(drawn[name] for name in INTERVENTIONS if name in drawn),
        )
        for size, drawn in curves.items()
    ]


def _blocks(estimate: Estimate) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name in estimate.details:
        if match := _PATTERN.fullmatch(name):
            found.setdefault(match[1], []).append(int(match[2]))
    return found
