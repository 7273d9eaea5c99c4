"""Compare the numbers of two folders of reports, digit for digit.

    python tests/helpers/compare_records.py OLD NEW

A change that should alter no number is proved by this: every record must be equal but for
provenance, timing and wording (reasons, protocols, captions, units of axes).  Exits 1 where a
number differs, or where a measurement is there that was not, or is gone that was measured.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORDING = {"protocol", "reason", "caption", "title", "method", "source", "statement", "not_drawn"}
"""Fields that hold sentences."""
ASIDE = {"seconds", "characteristic"}
"""Fields that differ between runs, or that a calibration writes."""


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield where two parts of a record differ, and how."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - WORDING - ASIDE):
            place = f"{where}.{key}"
            if key not in old or key not in new:
                yield f"{place}: only in the {'new' if key in new else 'old'} record"
            else:
                yield from differences(old[key], new[key], place)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{where}: {len(old)} entries, now {len(new)}"
        for index, (before, after) in enumerate(zip(old, new, strict=False)):
            yield from differences(before, after, f"{where}[{index}]")
    elif old != new:
        yield f"{where}: {old!r}, now {new!r}"


def compare(old: Path, new: Path) -> Iterator[str]:
    """Yield the differences between two `verdict.json`."""
    before, after = (
        {record["id"]: record for record in json.loads(file.read_text())["records"]}
        for file in (old, new)
    )
    for id in sorted({*before, *after}):
        if id not in after:
            if before[id]["verdict"] != "NOT RUN":
                yield f"{id}: was {before[id]['verdict']}, and is gone"
        elif id not in before:
            yield f"{id}: is new, {after[id]['verdict']}"
        else:
            yield from differences(before[id], after[id], id)


def main(old: Path, new: Path) -> int:
    """Print every difference; return how many suites differ."""
    differing = 0
    for file in sorted(new.glob("*/verdict.json")):
        reference = old / file.parent.name / "verdict.json"
        if not reference.is_file():
            print(f"{file.parent.name}: no record to compare with")
            continue
        found = list(compare(reference, file))
        records = len(json.loads(file.read_text())["records"])
        print(f"{file.parent.name}: {records} records, {len(found) or 'no'} differences")
        for line in found:
            print(f"  {line}")
        differing += bool(found)
    return differing


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1]), Path(sys.argv[2])) else 0)
