"""The list of suites, for `polyrot suites`."""

import textwrap
from collections.abc import Iterable, Iterator

from polyrot.report.columns import entry, width

MARGIN = 26


def suite_list(suites: Iterable[tuple[str, str]], *, judging: str) -> Iterator[str]:
    """Yield every suite with its description, in 80 columns.

    Args:
        suites: names, or patterns of names, with their descriptions.
        judging: the command that judges claims.
    """
    for name, about in suites:
        yield from entry(name, about, MARGIN)
    yield ""
    said = (
        f"{judging} --suite NAME measures one; polyrot suites show NAME prints its file, a "
        "template for yours; polyrot suites check FILE reports its problems."
    )
    yield from textwrap.wrap(said, width(), break_on_hyphens=False)
