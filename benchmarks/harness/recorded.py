"""From nothing to verdict: what earlier runs recorded of their own time, not measured here."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

COHORTS = ("dyck3", "dyck3-independent", "dyck3-short", "two-back")
SUITES = ("dyck3", "dyck3-independent", "textlm")
PAPER = "about 14 h on an RTX 2060, and 2 h of CPU for the analysis of cached activations"


def recorded(verdicts: Path) -> list[str]:
    """Render the times in the shipped manifests, and in the verdicts under a folder."""
    artifacts = Path(str(files("polyrot"))) / "artifacts"
    return [
        "## From nothing to verdict",
        "",
        f"Not measured here, but recorded when it was done. The paper: {PAPER}.",
        "",
        "| job | time | recorded in |",
        "| :-- | --: | :-- |",
        *_trainings(artifacts),
        *_judgements(verdicts),
        "",
    ]


def _trainings(artifacts: Path) -> Iterator[str]:
    for name in COHORTS:
        path = artifacts / name / "manifest.json"
        if not path.exists():
            continue
        seeds = json.loads(path.read_text())["seeds"].values()
        # Seeds that trained in one stack each hold the time of the stack.
        stacks = {seed["training seconds"] for seed in seeds if "training seconds" in seed}
        yield _line(f"train {len(seeds)} seeds of {name}", sum(stacks), f"{name}/{path.name}")


def _judgements(verdicts: Path) -> Iterator[str]:
    for name in SUITES:
        path = verdicts / name / "verdict.json"
        if not path.exists():
            continue
        seconds = json.loads(path.read_text())["timing"]["seconds"].values()
        yield _line(f"measure and judge the claims on {name}", sum(seconds), f"{name}/{path.name}")


def _line(job: str, seconds: float, source: str) -> str:
    time = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
    return f"| {job} | {time} | {source} |"
