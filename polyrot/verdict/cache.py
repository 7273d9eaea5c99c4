"""Estimates and figures kept between runs, keyed by everything that determines them.

Only measured numbers are kept, never a verdict: bars and the rule are applied again in
every run.  The key covers the claim and what it imports, the part of polyrot that can alter a
number (see `polyrot.verdict.sources`), the trained files, the library versions and the device.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from polyrot.cache import cache_directory, content_key
from polyrot.files import write_atomically
from polyrot.provenance import versions
from polyrot.verdict.figure import figure_from_json
from polyrot.verdict.record import estimate_from_json, plain
from polyrot.verdict.run import Estimates, Figures, Kept
from polyrot.verdict.sources import claim_source, other_source, package_source

FIGURES = "figures"


class EstimateCache(Kept):
    """Estimates of one measurement on one suite by world, and its figures."""

    def __init__(
        self, claim_file: Path, what: Mapping[str, object], *, packages: Iterable[Path] = ()
    ) -> None:
        """Key by source code, by versions and by `what` (measurement, suite, files, device).

        Args:
            claim_file: the module that measures.
            what: everything else that determines the numbers.
            packages: folders, or single modules, of other packages that can alter the numbers, such
                as those with experiments; all of their Python files count.
        """
        self._key = {
            **what,
            "claim": claim_source(claim_file),
            "source": package_source(),
            "packages": sorted((package.name, other_source(package)) for package in packages),
            "versions": versions(),
        }

    def measured(self, world: str, measure: Callable[[], Estimates]) -> Estimates:
        """Return the kept estimates of a world, or measure and keep them."""
        fields = self._kept(
            {"world": world}, lambda: {part: asdict(e) for part, e in measure().items()}
        )
        return {part: estimate_from_json(e) for part, e in fields.items()}

    def drawn(self, worlds: Iterable[str], draw: Callable[[], Figures]) -> Figures:
        """Return the kept figures of these worlds, or draw and keep them."""
        what = {"what": FIGURES, "worlds": " ".join(sorted(worlds))}
        fields = self._kept(what, lambda: [asdict(figure) for figure in draw()])
        return [figure_from_json(figure) for figure in fields]

    def _kept(self, what: Mapping[str, str], make: Callable[[], Any]) -> Any:
        name = content_key({**self._key, **what})
        path = cache_directory() / "estimates" / f"{name}.json"
        text = _read(path)
        if text is None:
            # Through JSON in either case: both runs judge the same digits.
            text = json.dumps(plain(make()))
            sealed = _sealed(text)
            with suppress(OSError):  # with a full disk the next run measures again
                write_atomically(path, lambda p: p.write_text(sealed))
        return json.loads(text)


def _read(path: Path) -> str | None:
    try:
        seal, _, text = path.read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if seal != hashlib.sha256(text.encode()).hexdigest():
        return None  # damaged: measured again
    return text


def _sealed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() + "\n" + text
