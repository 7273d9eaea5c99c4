"""Lines as wide as the terminal, within limits: a label, and wrapped text next to it."""

import shutil
import textwrap
from collections.abc import Iterator

LARGEST, SMALLEST = 80, 40
"""Columns: limits of the line length, whatever the width of the terminal."""
LEAST_TEXT = 16
"""Least number of columns for the text next to a label."""


def width() -> int:
    """Return the line length: the terminal's width, within limits; `COLUMNS` overrides it."""
    return max(SMALLEST, min(LARGEST, shutil.get_terminal_size((LARGEST, 24)).columns))


def entry(label: str, text: str, margin: int, *, indent: int = 0) -> Iterator[str]:
    """Yield a label and its text, which begins at column `margin`.

    A label that reaches into the text is put on a separate line; if too few columns are left, the
    text begins further left.
    """
    margin = min(margin, width() - LEAST_TEXT)
    lines = textwrap.wrap(text, width() - margin, break_on_hyphens=False, break_long_words=False)
    first = " " * indent + label
    if len(first) < margin and lines:
        first = f"{first:<{margin}}{lines.pop(0)}"
    yield first.rstrip()
    for line in lines:
        yield " " * margin + line


def paragraphs(text: str, indent: int) -> Iterator[str]:
    """Yield a text paragraph by paragraph; lists and tables keep their layout."""
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ""
        lines = paragraph.splitlines()
        margin = " " * indent
        if any(line[:1] in (" ", "-", "*", "|") for line in lines):
            yield from (f"{margin}{line}".rstrip() for line in lines)
        else:
            whole = " ".join(lines)
            yield from textwrap.wrap(
                whole, width(), initial_indent=margin, subsequent_indent=margin
            )


def size(count: int) -> str:
    """Write a number of bytes for a reader: `13 B`, `1.2 GiB`."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def age(seconds: float) -> str:
    """Write how long ago something was: `just now`, `5 min`, `3 h`, `12 days`."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return "just now"
