"""One hypothesis profile for everyone: no example depends on the clock or the machine."""

import os
from collections.abc import Iterator

import hypothesis
import jaxtyping
import pytest

hypothesis.settings.register_profile(
    "polyrot", derandomize=True, deadline=None, max_examples=40, print_blob=True
)
hypothesis.settings.load_profile("polyrot")

pytest_plugins = ["pytester"]

MARKED = {
    "browser": "browser",
    "dask": "cluster",
    "ray": "cluster",
    "trained": "training",
    "built": "training",
    "release": "seconds",
    "pytester": "nested",
}
"""Markers of the tests that use a fixture."""


def pytest_configure(config: pytest.Config) -> None:
    """A warning fails a test of the library, and no verdict: what users' models warn of is theirs.

    So it is no setting in pyproject.toml, which `pytest claims/` reads as well.
    """
    config.addinivalue_line("filterwarnings", "error")
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # the plugin says why


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test by what it uses; `tox -e quick` leaves out what takes long to start."""
    for fixture in MARKED.keys() & getattr(item, "fixturenames", ()):
        item.add_marker(MARKED[fixture])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the user's cache; one folder serves the whole test run."""
    folder = tmp_path_factory.getbasetemp() / "polyrot-cache"
    monkeypatch.setenv("POLYROT_CACHE", str(folder))


@pytest.fixture(autouse=True)
def no_job_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what toy claims print off the page of the CI job that runs these tests."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Leave wrong shapes to the library, as for users: here the type checker speaks first."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
