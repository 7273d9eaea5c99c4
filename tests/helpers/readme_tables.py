"""Writes the README's tables: what `pytest claims/ -q` prints of the shipped models."""

import re
from pathlib import Path

from polyrot.report.terminal import table
from polyrot.suites.registry import default_suites
from polyrot.verdict.record import read_verdict

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- tables: .*? -->\n).*?(<!-- end of tables -->)", re.DOTALL)


def tables() -> str:
    """Render the recorded verdicts of every suite."""
    lines = []
    for suite in default_suites():
        records = read_verdict(ROOT / "reports" / suite / "verdict.json").records
        lines += [f" verdicts on {suite} ".center(80, "=")]
        lines += [line for line, _ in table(records, verbosity=-1)]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def with_tables(text: str) -> str:
    """Put the tables where the README has a place for them."""
    return BLOCK.sub(lambda found: found[1] + tables() + found[2], text)


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
