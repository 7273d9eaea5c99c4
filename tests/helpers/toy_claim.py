"""Runs of claims within this process: of one small enough to know, and of this repository's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import xdist.plugin

# Imported here once: a run within this process then need not import torch again.
import polyrot.report.files
import polyrot.report.summary
import polyrot.report.terminal
import polyrot.suites.loading
import polyrot.verdict.cache
import polyrot.verdict.policy  # noqa: F401
from polyrot.suites import registry

CLAIM = '''
"""TOY-01: the number is large."""
import pytest
from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.errors import NotRun

CLAIM = Claim("TOY-01", "The number is large", "a toy")
MEASURED = Measurement(
    CLAIM, Bar.at_least(0.5, "score"), (negative("small world", 0.0), positive("big world", 1.0))
)


def measure(value={value}):
    {before}
    return {{"all": Estimate(value, value - 0.1, value + 0.1, "seed", 20, "by hand")}}


@pytest.mark.measurement(MEASURED)
def test_hardened(suite_name, judge):
    judge(measure)
'''


TOYS = Path(__file__).parent / "toys"


@contextmanager
def toy_suites() -> Iterator[None]:
    """Let suites exist that are nothing but names, here and in processes that are started."""
    path = os.pathsep.join(filter(None, (str(TOYS), os.environ.get("PYTHONPATH", ""))))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOYS)
        patch.setenv("PYTHONPATH", path)
        # Workers of pytest-xdist take the paths that it saw when it was imported.
        xdist.plugin._sys_path.insert(0, str(TOYS))
        forget_experiments()
        try:
            yield
        finally:
            xdist.plugin._sys_path.remove(str(TOYS))
    forget_experiments()


def forget_experiments() -> None:
    """Let the registry look again."""
    for known in (registry.modules, registry.kind_of, registry.listed_claims):
        known.cache_clear()


class ToyClaim:
    """`write` a claim whose models have a given value; a call runs it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester

    def write(
        self, value: float, before: str = "pass", negative: float = 0.0, id: str = "TOY-01"
    ) -> None:
        source = CLAIM.format(value=value, before=before).replace("TOY-01", id)
        source = source.replace('"small world", 0.0', f'"small world", {negative}')
        self._pytester.makepyfile(**{id.lower().replace("-", "_").replace("/", "_"): source})
        self._pytester.makeini("[pytest]\npython_files = toy_*.py\n")

    def __call__(self, *arguments: str, **options: bool) -> pytest.RunResult:
        with toy_suites():
            return self._pytester.runpytest_inprocess(
                "--suite", "toy", "-p", "no:cacheprovider", *arguments, **options
            )


ROOT = Path(__file__).parents[2]


def run_own_claims(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run this repository's own claims."""
    return pytester.runpytest_inprocess(
        f"--rootdir={ROOT}",
        f"-c={ROOT / 'pyproject.toml'}",
        f"--confcutdir={ROOT}",
        "-p",
        "no:cacheprovider",
        str(ROOT / "claims"),
        *arguments,
    )


def conclusion(result: pytest.RunResult) -> list[str]:
    """Lines below the heading `conclusion`, each paragraph as it is."""
    start = next(i for i, line in enumerate(result.outlines) if " conclusion " in line)
    return result.outlines[start + 1 :]
