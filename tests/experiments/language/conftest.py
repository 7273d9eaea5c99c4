"""Suites of small language models."""

import shutil
from pathlib import Path

import pytest
from planted_language import write_images, write_independent


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def independent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_independent(tmp_path_factory.mktemp("independent"))


@pytest.fixture
def folder(independent: Path, tmp_path: Path) -> Path:
    """A copy of a suite's folder, to be damaged."""
    return shutil.copytree(independent.parent, tmp_path / "copy")
