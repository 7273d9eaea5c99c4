"""Models from a hub: used online and offline, or not run for a reason that helps."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import planted_language
import pytest
import torch
from local_hub import LocalHub, serving
from planted_language import saved

from polyrot.models import hub
from polyrot.models.hub import Checkpoint


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(planted_language.neox(), tmp_path_factory.mktemp("hub") / "neox")


SCRIPT = """
import json, sys, torch
from polyrot.models import hub
for place, revision in json.loads(sys.argv[1]):
    checkpoint = hub.Checkpoint(place, revision)
    try:
        model = hub.load(checkpoint, torch.float32)
        total = float(sum(p.double().abs().sum() for p in model.parameters()))
        print(json.dumps([total, hub.identity(checkpoint)]))
    except hub.NotRun as error:
        print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def server(original: Path) -> Iterator[LocalHub]:
    repositories = {
        "folders": {"org/model": original},
        "refused": {"org/gated": "GatedRepo", "org/private": "RepoNotFound"},
        "gated_files": {"org/listed": original},
        "status": {"org/down": 503},
    }
    with serving(LocalHub(**repositories)) as running:
        yield running


def from_hub(
    home: Path, *checkpoints: tuple[str, str], **environment: str
) -> list[str | list[object]]:
    """Load checkpoints one after another in a process of its own, as its environment says."""
    keep = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(checkpoints)],
        env={**keep, "HF_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    assert "%|" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


OFFLINE = (
    "{} is not in the hub's cache and the hub cannot be reached; run once with a network, or "
    "copy the cache and point HF_HOME at it"
)


@pytest.mark.process
def test_a_hub_that_refuses_says_why_and_one_that_gives_is_used_offline_too(
    server: LocalHub, original: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    asked = [
        ("org/model", "main"),
        ("org/model", "step1"),
        ("org/model", "step2"),
        ("org/gated", "main"),
        ("org/listed", "main"),
        ("org/private", "main"),
        ("org/down", "main"),
        ("no id", "main"),
    ]
    said = from_hub(home, *asked, HF_ENDPOINT=server.url)
    model = hub.load(Checkpoint(str(original)), torch.float32)
    total = float(sum(p.double().abs().sum() for p in model.parameters()))
    found = [total, f"org/model at {server.commit}"]
    assert said[:2] == [found, found]
    assert said[2] == "org/model has no revision 'step2'"
    for place, reason in zip(("org/gated", "org/listed"), said[3:5], strict=True):
        expected = f"{place} at main is gated: accept its terms on the hub, then `hf auth login`"
        assert reason == expected
    assert said[5] == (
        "the hub has no org/private, or it is private: check its name, or `hf auth login`"
    )
    assert said[6] == OFFLINE.format("org/down at main")
    assert str(said[7]).startswith("'no id' is not a valid id on the hub: ")
    assert (home / "hub" / "models--org--model").is_dir()
    assert (
        sum("model.safetensors" in path for path in server.asked) <= 2
    )  # downloaded once: HEAD and GET

    server.asked.clear()
    offline = from_hub(home, *asked[:3], asked[3], HF_ENDPOINT=server.url, HF_HUB_OFFLINE="1")
    assert offline[:2] == [found, found]
    assert offline[2:] == [OFFLINE.format(f"{p} at {r}") for p, r in asked[2:4]]
    assert not server.asked


@pytest.mark.parametrize(
    "environment",
    [
        {"HF_ENDPOINT": "http://127.0.0.1:1"},
        {"HF_ENDPOINT": "https://hub.invalid", "HTTPS_PROXY": "{url}"},
    ],
    ids=["nobody answers", "a proxy refuses"],
)
@pytest.mark.process
def test_a_hub_that_cannot_be_reached_is_not_run(
    server: LocalHub, tmp_path: Path, environment: dict[str, str]
) -> None:
    environment = {name: value.format(url=server.url) for name, value in environment.items()}
    (said,) = from_hub(tmp_path, ("org/model", "main"), **environment)
    assert said == OFFLINE.format("org/model at main")
