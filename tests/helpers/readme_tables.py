"""Writes what the README shows of the reports: its picture, and what `pytest claims/ -q` prints."""

import re
from pathlib import Path

from polyrot.report.html.drawing import file_text
from polyrot.report.terminal import table
from polyrot.suites.registry import default_suites
from polyrot.verdict.record import read_verdict

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "figures" / "PIR-04-recovery.svg"
"""A copy, for a code host shows only what is in git, and the figures of reports are not."""
BLOCK = re.compile(r"(<!-- tables: .*? -->\n).*?(<!-- end of tables -->)", re.DOTALL)


def tables() -> str:
    """Render the recorded verdicts of every suite."""
    lines = []
    for suite in default_suites():
        records = read_verdict(ROOT / "reports" / suite / "verdict.json").records
        lines += [f" verdicts on {suite} ".center(80, "=")]
        lines += [line for line, _ in table(records, verbosity=-1)]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def picture() -> str:
    """Draw the figure that the README shows, from the recorded verdicts."""
    report = read_verdict(ROOT / "reports" / "dyck3-independent" / "verdict.json")
    (figure,) = (
        figure
        for record in report.records
        for figure in record.figures
        if (record.id, figure.file_stem) == ("PIR-04", "recovery")
    )
    return file_text(figure, of="PIR-04")


def with_tables(text: str) -> str:
    """Put the tables where the README has a place for them."""
    return BLOCK.sub(lambda found: found[1] + tables() + found[2], text)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
    PICTURE.write_text(picture())
