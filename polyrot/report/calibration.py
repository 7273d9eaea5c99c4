"""The calibration matrix as JSON, Markdown and a heat map."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from polyrot.files import write_atomically
from polyrot.report.words import mark, met_in
from polyrot.verdict.calibration import Calibration, Cell, Row


def write_calibration(
    calibration: Calibration, folder: Path, *, worlds: Sequence[str] = ()
) -> list[Path]:
    """Write `calibration.json`, `calibration.md` and `heatmap.svg`; return their paths.

    `worlds` describes each kind of world.
    """
    from polyrot.report.heatmap import heat_map

    files = {
        "calibration.json": partial(_write, text=calibration.to_json()),
        "calibration.md": partial(_write, text=markdown(calibration, worlds=worlds)),
        "heatmap.svg": partial(heat_map, calibration),
    }
    for name, write in files.items():
        write_atomically(folder / name, write)
    return [folder / name for name in files]


def findings(calibration: Calibration) -> Iterator[str]:
    """Yield one line per measurement: how well its bar discriminates."""
    for row in calibration.rows:
        yield f"{row.id:<18}{_finding(row)}"


def markdown(calibration: Calibration, *, worlds: Sequence[str] = ()) -> str:
    """Render the matrix: a row per measurement, a column per world.

    `worlds` describes each kind of world.
    """
    lines = [
        "# Calibration: how often each bar is met in worlds of known truth",
        "",
        "Each cell is the share of random draws of a synthetic world in which the bar was met,",
        "with its 95% interval (Clopper-Pearson). **T**: the claim is true in that world;",
        "**F**: it is false, a named alternative; **F!**: false, and the bar is not met",
        "significantly less often than in the first world marked T (Fisher's exact test,",
        "one-sided, level 0.05), so meeting it is no evidence.  Where a claim is neither, the",
        "cell says whether the bar was met in one draw.  The worst of several sites counts.",
        "",
        *(f"- {what}" for what in worlds),
        "",
        "![heat map](heatmap.svg)",
    ]
    for columns, rows in calibration.blocks:
        lines += ["", f"| measurement | bar | {' | '.join(columns)} |"]
        lines += ["|---" * (2 + len(columns)) + "|"]
        for row in rows:
            known = {cell.world: cell for cell in row.cells}
            cells = " | ".join(_cell(row, known.get(world)) for world in columns)
            lines.append(f"| {row.id} | {row.quantity} {row.bar} | {cells} |")
    lines += verdicts(calibration)
    lines += ["", "## How well each bar discriminates", ""]
    lines += [f"- **{row.id}**: {_finding(row)}" for row in calibration.rows]
    commit = calibration.provenance.get("commit", "unknown")
    return "\n".join([*lines, "", f"Measured by commit {commit}.", ""])


def verdicts(calibration: Calibration) -> list[str]:
    """Render the verdict on the first draw of each world, and what contradicts known truth."""
    lines = [
        "",
        "## Verdicts in worlds",
        "",
        "What the rule says of the first draw, with all controls, as if its seeds were models (T",
        "and F as above). REFUTED where a claim is true, or REPLICATED where it is false, would",
        f"contradict what is known: there are {len(calibration.contradictions)} such cells.",
    ]
    lines += [f"- {id}: {cell.verdict} in {cell.world}" for id, cell in calibration.contradictions]
    for columns, rows in calibration.blocks:
        lines += ["", f"| verdict on | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for row in rows:
            known = {cell.world: cell.verdict for cell in row.cells}
            cells = (f"{mark(row, world)[:1]} {known.get(world, '-')}" for world in columns)
            lines.append(f"| {row.id} | {' | '.join(cell.strip() for cell in cells)} |")
    return lines


def _cell(row: Row, cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if not mark(row, cell.world):
        return "met" if cell.met else "not met"
    low, high = cell.interval
    return f"{mark(row, cell.world)} {cell.share:.2f} [{low:.2f}, {high:.2f}]".strip()


def _finding(row: Row) -> str:
    if not row.cells:
        return f"not measured: {row.not_run}."
    characteristic = row.characteristic
    for kind, named, ran in (
        ("true", row.true_in, characteristic.true),
        ("false", row.false_in, characteristic.false),
    ):
        if not ran:
            return f"not run in any of {', '.join(named) or 'the worlds'}, where it is {kind}."
    reference, least = characteristic.true[0], _by_share(characteristic.true)[0]
    figures = f"met in {met_in(reference)}, where the claim is true"
    if least.share < reference.share:
        figures += f" (fewest: {met_in(least)})"
    if not reference.met and not reference.missed:
        return figures + ", nor missed there: only missing it is evidence."
    if not reference.met:
        return figures + ": the bar cannot be met, so missing it is no evidence."
    if confused := characteristic.confused:
        alike = ", ".join(met_in(cell) for cell in confused)
        return (
            figures + f", and not clearly less often in {alike}, where it is false: "
            "the bar does not discriminate."
        )
    return (
        figures + f"; at most in {met_in(_by_share(characteristic.false)[-1])}, where it is false."
    )


def _by_share(cells: Sequence[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: cell.share)


def _write(path: Path, *, text: str) -> None:
    path.write_text(text)
