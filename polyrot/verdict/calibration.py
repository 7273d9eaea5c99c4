"""How often a bar is met in worlds where its claim is true, and where it is false.

Measured on synthetic worlds by `polyrot calibrate`, kept in `calibration.json`, and shown
with every verdict as the bar's operating characteristic.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from polyrot.stats.estimate import CONFIDENCE
from polyrot.verdict.claim import Measurement

SCHEMA = 2
LEAST_POWER = 0.8
MOST_MISSED = 0.1


@dataclass(frozen=True)
class Cell:
    """Number of random draws of a world, and numbers in which a bar was met, and missed."""

    world: str
    met: int
    draws: int
    missed: int = 0
    """Draws in which some part lay wholly outside; the others straddled."""
    verdict: str = ""
    """The verdict on the first draw as if its seeds were models; empty if it was not given."""

    @property
    def share(self) -> float:
        return self.met / self.draws

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper and Pearson's interval of the probability of meeting the bar."""
        low, high = stats.binomtest(self.met, self.draws).proportion_ci(CONFIDENCE, "exact")
        return float(low), float(high)


@dataclass(frozen=True)
class Characteristic:
    """The operating characteristic of a bar: how often it is met in named worlds."""

    true: tuple[Cell, ...]
    """Worlds in which the claim is true; the first is the reference."""
    false: tuple[Cell, ...]
    """The named alternatives: worlds in which it is false."""

    @property
    def confused(self) -> tuple[Cell, ...]:
        """Alternatives that do not meet the bar clearly less often than the first true world.

        That is, not significantly: Fisher's exact test, one-sided, level 0.05.
        """
        if not self.true:
            return ()
        return tuple(cell for cell in self.false if not _less_often(cell, self.true[0]))

    @property
    def misses(self) -> tuple[Cell, ...]:
        """The true worlds in which the bar is missed in more than a tenth of the draws."""
        return tuple(cell for cell in self.true if cell.missed > MOST_MISSED * cell.draws)

    @property
    def weakest(self) -> Cell | None:
        """The alternative that meets the bar most often, among those without a power of 0.8.

        The whole interval must lie above 0.8, which takes 17 draws that all miss the bar.
        """
        weak = [cell for cell in self.false if 1 - cell.interval[1] < LEAST_POWER]
        return max(weak, key=lambda cell: cell.share, default=None)


def _less_often(cell: Cell, reference: Cell) -> bool:
    table = [[c.met, c.draws - c.met] for c in (cell, reference)]
    return float(stats.fisher_exact(table, alternative="less").pvalue) <= 1 - CONFIDENCE


@dataclass(frozen=True)
class Row:
    """One measurement in all worlds: a line of the calibration matrix."""

    id: str
    bar: str
    quantity: str
    cells: tuple[Cell, ...]
    true_in: tuple[str, ...]
    false_in: tuple[str, ...]
    not_run: str = ""
    """Why it could not be measured in the worlds; empty if it could."""

    @property
    def characteristic(self) -> Characteristic:
        """The characteristic in the worlds that the claim named when it was calibrated."""
        return self.characteristic_in(self.true_in, self.false_in)

    def characteristic_in(
        self, true_in: Collection[str], false_in: Collection[str]
    ) -> Characteristic:
        """Pick the cells of the worlds in which the claim is true and false."""
        return Characteristic(
            tuple(cell for world in true_in for cell in self.cells if cell.world == world),
            tuple(cell for world in false_in for cell in self.cells if cell.world == world),
        )


@dataclass(frozen=True)
class Calibration:
    """The calibration matrix: every measurement in every world."""

    worlds: tuple[str, ...]
    rows: tuple[Row, ...]
    metrics: int
    """Version of the definitions of the measured quantities."""
    provenance: Mapping[str, Any]

    @property
    def blocks(self) -> list[tuple[tuple[str, ...], tuple[Row, ...]]]:
        """Groups of worlds with the measurements in them; no two groups share a measurement."""
        groups: list[set[str]] = []
        for row in self.rows:
            of_row = {cell.world for cell in row.cells}
            groups = [g for g in groups if not g & of_row] + [
                of_row.union(*(g for g in groups if g & of_row))
            ]
        blocks = []
        for group in sorted(filter(None, groups), key=lambda g: min(map(self.worlds.index, g))):
            worlds = tuple(world for world in self.worlds if world in group)
            rows = tuple(row for row in self.rows if group & {cell.world for cell in row.cells})
            blocks.append((worlds, rows))
        return blocks

    def characteristic(self, measurement: Measurement, metrics: int) -> Characteristic | None:
        """Look up a bar's operating characteristic.

        None if it was not measured in every world that the claim names, or for another bar or
        other definitions.
        """
        claim = measurement.claim
        sought = (measurement.id, measurement.bar_text, measurement.quantity)
        for row in self.rows:
            worlds = {cell.world for cell in row.cells}
            whole = {*claim.true_in, *claim.false_in} <= worlds
            if (row.id, row.bar, row.quantity) == sought and metrics == self.metrics:
                if not worlds or not whole:
                    return None
                return row.characteristic_in(claim.true_in, claim.false_in)
        return None

    @property
    def contradictions(self) -> list[tuple[str, Cell]]:
        """Measurements with worlds in which the verdict contradicts what is known to be true."""
        return [
            (row.id, cell)
            for row in self.rows
            for cell in row.cells
            if (cell.verdict == "REFUTED" and cell.world in row.true_in)
            or (cell.verdict == "REPLICATED" and cell.world in row.false_in)
        ]

    def to_json(self) -> str:
        rows = {
            row.id: {
                "bar": row.bar,
                "quantity": row.quantity,
                "true in": row.true_in,
                "false in": row.false_in,
                "not run": row.not_run,
                "cannot tell from": [c.world for c in row.characteristic.confused],
                "worlds": {
                    cell.world: {
                        "met": cell.met,
                        "missed": cell.missed,
                        "verdict": cell.verdict,
                        "draws": cell.draws,
                        "interval": [round(end, 4) for end in cell.interval],
                    }
                    for cell in row.cells
                },
            }
            for row in self.rows
        }
        document = {
            "schema": SCHEMA,
            "metrics": self.metrics,
            "worlds": self.worlds,
            "measurements": rows,
            "provenance": self.provenance,
        }
        return json.dumps(document, indent=1) + "\n"


def read_calibration(path: Path) -> Calibration:
    """Read a `calibration.json`.

    Raises:
        ValueError: where the file is not one, or has another schema.
    """
    try:
        document = json.loads(path.read_text())
        if document["schema"] != SCHEMA:
            raise ValueError(f"it is of schema {document['schema']}, this version reads {SCHEMA}")
        rows = tuple(
            Row(
                id,
                row["bar"],
                row["quantity"],
                tuple(
                    Cell(world, c["met"], c["draws"], c["missed"], c["verdict"])
                    for world, c in row["worlds"].items()
                ),
                tuple(row["true in"]),
                tuple(row["false in"]),
                row["not run"],
            )
            for id, row in document["measurements"].items()
        )
        return Calibration(
            tuple(document["worlds"]), rows, document["metrics"], document["provenance"]
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"Expected a calibration in {path}, as `polyrot calibrate` writes it after you "
            f"delete the file: {error}"
        ) from None
