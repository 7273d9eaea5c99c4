"""Judge two quick claims and one of one's own with the wheel alone, as somebody without a clone.

`tox -e wheel` runs this where nothing but the wheel and what it depends on is installed.  It is
no test of pytest's own: the repository's settings must not help.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polyrot
from polyrot import locations

SUITE = "dyck3-independent"
CLAIMS = ("PIR-02", "PIR-05")
CLONE = Path(__file__).parents[2]
OWN = CLONE / "docs" / "examples" / "eth_01_anisotropy.py"


def run(folder: Path, *command: str) -> str:
    """Run a module's command in a folder; show it, and stop where it fails."""
    print("+", *command, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, flush=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} exited {done.returncode}")
    return done.stdout


def installed() -> set[Path]:
    """The package's files, but for what the interpreter keeps beside them."""
    return {file for file in locations.PACKAGE.rglob("*") if "__pycache__" not in file.parts}


def main() -> None:
    """Judge, compare with the reference verdicts, and look where the files went."""
    start, before = time.monotonic(), installed()
    if not locations.IN_WHEEL.is_dir():
        raise SystemExit(f"{polyrot.__file__} is no installed wheel: run `tox -e wheel`")
    recorded = {file.parent.name for file in (CLONE / "reports").glob("*/verdict.json")}
    assert set(locations.reference_verdicts()) == recorded, "verdicts are missing in the wheel"
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name)
        chosen = ["-k", " or ".join(CLAIMS), "--suite", SUITE]
        expected = ["--expect", f"shipped:{SUITE}"]
        run(empty, "pytest", "--pyargs", locations.CLAIMS_PACKAGE, *chosen, *expected)
        judged = json.loads((empty / "reports" / SUITE / "verdict.json").read_text())
        assert {id.partition("/")[0] for id in judged["verdicts"]} == set(CLAIMS)
        assert judged["provenance"]["commit"] == "unknown"
        # Not calibrated would mean that the matrix was not found.
        assert all(record["characteristic"] for record in judged["records"])
        shutil.copy(OWN, empty)
        run(empty, "pytest", OWN.name, "--suite", "world:haar")
        own = json.loads((empty / "reports" / "world-haar" / "verdict.json").read_text())
        assert own["verdicts"] == {"ETH-01": "REPLICATED"}
        assert CLAIMS[0] in run(empty, "polyrot", "claims")
        run(empty, "polyrot", "claims", "show", CLAIMS[0])
        run(empty, "polyrot", "doctor")
    assert installed() == before, "a run wrote into the installed package"
    print(f"The wheel judges alone: {time.monotonic() - start:.0f} s.")


main()
