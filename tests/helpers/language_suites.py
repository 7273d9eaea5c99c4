"""Suite files of small language models, loaded and damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import planted_language
import pytest
from planted_language import change, saved

from polyrot.errors import NotRun
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.models import hub
from polyrot.suites.loading import load_suite


def load(file: Path) -> LanguageSuite:
    suite = load_suite(str(file))
    assert isinstance(suite, LanguageSuite)
    return suite


def changed(folder: Path, *changes: tuple[str, str], more: str = "") -> Path:
    """Change the suite file of a folder."""
    return change(folder / "independent.toml", *changes, more=more)


def reason(file: Path, use: Callable[[LanguageSuite], object] = lambda suite: None) -> str:
    """Why something is not run of a suite, read anew."""
    for known in (hub.architecture, hub.skeleton, hub.identity):
        known.cache_clear()
    with pytest.raises(NotRun) as raised:
        use(load(file))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def saved_as(folder: Path, name: str, **changes: Any) -> None:
    shutil.rmtree(folder / name, ignore_errors=True)
    saved(planted_language.llama(5, **changes), folder / name)
