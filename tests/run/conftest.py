"""Fixtures of tests of whole runs."""

from pathlib import Path

import pytest
from toy_claim import ToyClaim


@pytest.fixture(autouse=True)
def job_summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stand on no CI service but for the file of its job summary."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


@pytest.fixture
def claims(pytester: pytest.Pytester) -> ToyClaim:
    return ToyClaim(pytester)
