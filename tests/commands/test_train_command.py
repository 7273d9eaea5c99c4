"""`polyrot train`: what it asks of the trainer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from polyrot.cli import app
from polyrot.suites import registry


def test_every_option_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def train(suite: str, **options: Any) -> Path:
        asked.update(options, suite=suite, threads=torch.get_num_threads())
        return options["out"]

    monkeypatch.setattr(registry, "train", train)
    threads = torch.get_num_threads()
    arguments = ["train", "dyck3", "--out", str(tmp_path), "--device", "cpu", "--threads", "1"]
    try:
        result = CliRunner().invoke(app, arguments)
    finally:
        torch.set_num_threads(threads)
    assert (result.exit_code, result.stdout) == (0, f"trained: {tmp_path}\n")
    assert {name: asked[name] for name in ("suite", "out", "device", "threads")} == {
        "suite": "dyck3",
        "out": tmp_path,
        "device": "cpu",
        "threads": 1,
    }
