"""The list of claims, for `polyrot claims`."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from polyrot.catalogue import Listed, family
from polyrot.locations import CLAIMS_PACKAGE, IN_WHEEL
from polyrot.report.columns import entry

KINDS = 22
"""Width of the column of measurements, in characters."""


def claim_list(claims: Sequence[Listed], folder: Path) -> Iterator[str]:
    """Yield every claim with its measurements and its statement, by paper."""
    width = max(len(claim.id) for claim in claims) + 2
    for paper, of_paper in groupby(claims, key=lambda claim: family(claim.file)):
        yield paper
        yield ""
        for claim in of_paper:
            label = f"{claim.id:<{width}}{claim.kinds}"
            yield from entry(label, claim.statement, width + KINDS)
        yield ""
    count = sum(len(claim.measurements) for claim in claims)
    yield f"{len(claims)} claims, {count} measurements, from {folder}"
    where = f"--pyargs {CLAIMS_PACKAGE}" if folder == IN_WHEEL else folder
    yield "polyrot claims show ID describes a claim in full; this judges it:"
    yield f"pytest {where} -k ID"
