"""Names of suites of released files: `published:DIR`, or `published:DIR:0-4` for some seeds."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from polyrot.suites.kind import Listed

_NAME = re.compile(r"published:(?P<folder>.+?)(?::(?P<seeds>\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*))?")


@dataclass(frozen=True)
class ReleaseName:
    """The folder of a release, and the choice of its seeds."""

    folder: Path
    choice: str = ""
    """Seeds, such as `0-4` or `0,2,3`; empty for every seed in the folder."""

    @property
    def report_folder(self) -> str:
        """Name the folder of reports by the last part of the path."""
        last = self.folder.resolve().name
        return "-".join(part for part in ("published", last, self.choice) if part)

    def chosen(self, found: Collection[int]) -> list[int]:
        """Choose among the seeds in the folder.

        Raises:
            ValueError: if one of the chosen seeds is not among them.
        """
        if not self.choice:
            return sorted(found)
        spans = [[int(end) for end in span.split("-")] for span in self.choice.split(",")]
        asked = {seed for span in spans for seed in range(span[0], span[-1] + 1)}
        if not asked or asked - set(found):
            raise ValueError(
                f"Expected seeds among {spelled(found)}, those in {self.folder}, "
                f"but got {self.choice}"
            )
        return sorted(asked)


def parse_released(name: str) -> ReleaseName | None:
    """Read the name of a suite; None if it does not name released files."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return ReleaseName(Path(found["folder"]).expanduser(), found["seeds"] or "")


def find_released(name: str) -> Listed | None:
    """List a suite of released files; None if the name does not name released files."""
    released = parse_released(name)
    return Listed(name, folder=released.report_folder) if released else None


def spelled(seeds: Collection[int]) -> str:
    """Write seeds in short form: `0-4,7`."""
    spans: list[list[int]] = []
    for seed in sorted(seeds):
        if spans and seed == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], seed]
        else:
            spans.append([seed])
    return ",".join("-".join(map(str, span)) for span in spans)
