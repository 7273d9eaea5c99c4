"""The command line as a whole: help, exit codes, completion, and how soon it is there."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

import polyrot
from polyrot.cli import app
from polyrot.commands import names
from polyrot.suggestions import unknown

ROOT = Path(__file__).parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def commands() -> Iterator[tuple[str, ...]]:
    for name, command in typer.main.get_command(app).commands.items():
        yield (name,)
        yield from ((name, below) for below in getattr(command, "commands", ()))


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_the_help_of_every_command_documents_its_exit_codes(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert "Exits " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "\x1b" not in result.stdout
    assert "..." not in result.stdout.partition("Commands:")[2]  # no sentence is cut


def test_the_first_help_names_every_command_and_the_exit_codes() -> None:
    result = CliRunner().invoke(app, ["-h"])
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "..." not in result.stdout.partition("Commands:")[2]  # no sentence is cut
    assert "Exit codes: 0 done; 1 a finding" in result.stdout
    assert {"--install-completion", "--show-completion"} <= set(result.stdout.split())


def test_a_mistyped_command_is_told_the_nearest() -> None:
    result = CliRunner().invoke(app, ["claim"])
    assert result.exit_code == 2
    assert "claims" in result.stderr


def test_the_version_is_one() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"polyrot {VERSION}\n")
    assert polyrot.__version__ == VERSION
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION


@pytest.mark.parametrize(
    "words",
    [["--help"], ["suites", "show", "gpt2"], ["claims"], ["cache"], ["cache", "clear", "--yes"]],
    ids=" ".join,
)
@pytest.mark.process
def test_what_needs_no_model_does_not_wait_for_torch(words: list[str]) -> None:
    code = (
        "import sys; from polyrot.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "print([name for name in ('torch', 'scipy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def complete(line: str) -> list[str]:
    """What the shell offers at the end of a line, and that torch was not imported for it."""
    environment = {
        **os.environ,
        "_POLYROT_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "polyrot"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not [line for line in done.stderr.splitlines() if line.endswith(" torch")]
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("polyrot cl", ["claims"]),
        ("polyrot claims show PIR-2", ["PIR-20", "PIR-21", "PIR-22", "PIR-23"]),
        ("polyrot train dyck3-", ["dyck3-independent", "dyck3-short"]),
        ("polyrot suites show pythia-7", ["pythia-70m"]),
        ("polyrot calibrate --world linear-1", ["linear-10"]),
        ("polyrot cache clear es", ["estimates"]),
    ],
)
@pytest.mark.process
def test_the_shell_completes_names_of_arguments(line: str, expected: list[str]) -> None:
    assert complete(line) == expected


def test_what_is_completed_is_what_there_is() -> None:
    from polyrot.models.cohorts import COHORTS
    from polyrot.models.encoder_cohorts import CHAINS, MODULAR, SWEEP
    from polyrot.suites import registry

    others = {"textlm", "agreement", "subspaces", "subspaces-full"}
    assert set(names.complete_trainable("")) == {*COHORTS, *CHAINS, MODULAR, SWEEP, *others}
    assert set(names.complete_world("")) == set(registry.worlds())
    assert "textlm" in names.complete_suite_file("")


def test_an_unknown_name_is_told_the_nearest_or_all() -> None:
    known = ("PIR-01", "PIR-02", "SASA-01")
    assert unknown("a claim", "sasa-1", known) == (
        "Expected a claim but got 'sasa-1'; nearest: SASA-01"
    )
    assert unknown("a claim", "x", known) == (
        "Expected a claim among PIR-01, PIR-02, SASA-01 but got 'x'"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "dyk3"], "but got 'dyk3'; nearest: dyck3"),
        (["train", "dyck3", "--device", "gpu"], "Expected cpu or cuda but got 'gpu'"),
        (
            ["train", "dyck3", "--threads", "-3"],
            "--threads': Input should be greater than or equal to 0",
        ),
        (["suites", "show", "pythia70m"], "but got 'pythia70m'; nearest: pythia-70m"),
        (["diff", "shipped:dyck", "x"], "but got 'dyck'; nearest: dyck3"),
        (["calibrate", "--world", "har"], "but got 'har'; nearest: haar"),
        (["align", "no-such-folder", "gpt2"], "there is no folder no-such-folder here; as a name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_clear_message(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)  # no traceback
    assert message in " ".join(result.stderr.split())
