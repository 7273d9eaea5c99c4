"""Aligning a pair at d = 4,096 fits in 2 GiB beyond the models, whatever the number of tokens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "helpers" / "measure_memory.py"
LIMIT = 2 * 2**30


@pytest.mark.slow
def test_streaming_fitting_and_ranking_a_wide_pair(tmp_path: Path) -> None:
    result = tmp_path / "measured.json"
    command = [sys.executable, str(PROGRAM), str(result), "4096", "8192", "2048", "1"]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=900)
    measured = json.loads(result.read_text())
    print(measured)
    for step in ("stream", "fit", "rank"):
        assert measured[f"{step} bytes"] < LIMIT, step
