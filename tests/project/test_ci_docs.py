"""The page on CI and its workflow file: what they say is what the code does."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
import typer
import yaml
from judged import judged

from polyrot.cli import app
from polyrot.report.annotations import annotations
from polyrot.report.conclusion import conclude
from polyrot.report.difference import compare
from polyrot.report.explanation import explanation
from polyrot.report.junit import properties
from polyrot.report.terminal import closing_lines
from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Kind, Measurement
from polyrot.verdict.judge import Verdict
from polyrot.verdict.policy import Policy
from polyrot.verdict.record import Record, Report

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text()
FILE = ROOT / "docs" / "workflows" / "polyrot.yml"
STEPS = yaml.safe_load(FILE.read_text())["jobs"]["claims"]["steps"]
SCRIPTS = {step["name"]: step["run"] for step in STEPS if "run" in step}
SHELL = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def commands(scripts: list[str]) -> Iterator[list[str]]:
    """Every call of pytest and polyrot, as words."""
    for script in scripts:
        for line in script.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] in {"pytest", "polyrot"}:
                yield list(takewhile(lambda word: word not in {"|", "||", "&&", ">", ";"}, words))


def options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}


def test_every_option_of_pytest_exists(pytester) -> None:
    known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", pytester.runpytest("--help").stdout.str()))
    used = [words for words in commands([*SCRIPTS.values(), *SHELL]) if words[0] == "pytest"]
    assert len(used) == 3
    for words in used:
        assert options(words) <= known
        assert words[1] == "polyrot-claims/claims"
    mentioned = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert {"--require", "--expect", "--strict", "--device"} <= mentioned <= known


def test_every_command_of_polyrot_exists_with_its_options() -> None:
    known = typer.main.get_command(app).commands
    used = [words for words in commands([*SCRIPTS.values(), *SHELL]) if words[0] == "polyrot"]
    assert len(used) == 4
    for words in used:
        command = known[words[1]]
        assert options(words) <= {name for parameter in command.params for name in parameter.opts}


def test_the_page_shows_the_workflow_file_as_it_is() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown == FILE.read_text()


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.process
def test_each_script_is_shell_and_holds_no_expression(script: str) -> None:
    # What an expression inserts into a script would run as part of it.
    assert "${{" not in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_the_job_keeps_its_reports_and_its_cache_where_the_gate_fails() -> None:
    steps = {step["name"]: step for step in STEPS}
    order = list(steps)
    gate = order.index("Gate")
    for name, action in (
        ("Upload the reports and the JUnit file", "actions/upload-artifact@"),
        ("Keep what was measured, also where the gate failed", "actions/cache/save@"),
    ):
        assert steps[name]["uses"].startswith(action)
        assert steps[name]["if"].startswith("always()")
        assert order.index(name) > gate
    recording, gating = steps["Record the first verdicts"], steps["Gate"]
    assert recording["if"].replace("==", "!=") == gating["if"]
    environment = yaml.safe_load(FILE.read_text())["env"]
    assert steps["Restore what was measured and trained before"]["with"]["path"] == (
        "${{ env.POLYROT_CACHE }}"
    )
    assert environment.keys() >= {"POLYROT_CACHE", "SUITE", "RECORDED", "REQUIRED"}
    assert environment["RECORDED"].split("/")[1] + ".toml" == environment["SUITE"]


def test_no_step_uses_an_action_without_a_version() -> None:
    for step in STEPS:
        assert "run" in step or re.fullmatch(r"actions/[a-z/-]+@v\d+", step["uses"])


CLAIM = next((ROOT / "claims").rglob("pir_05_*.py"))
BAR = Bar.above(0.5, "held-out alignment EV")
MEASUREMENT = Measurement(
    Claim("PIR-05", "The rotation explains the bulk of cross-seed variation", ""), BAR, ()
)


def record(last_site: tuple[float, float, float]) -> Record:
    """PIR-05 on twelve models, of which the last site drifts in the page's example."""
    parts = []
    for site, (value, low, high) in (
        ("resid_post.0", (0.884, 0.851, 0.917)),
        ("resid_post.1", last_site),
    ):
        controls = [
            ("shuffled tokens", Kind.NEGATIVE, Estimate(0.0021, -0.0031, 0.0073, "seed", 12, "")),
            ("Haar world", Kind.POSITIVE, Estimate(0.702, 0.699, 0.705, "seed", 12, "")),
        ]
        parts.append(judged(site, BAR, Estimate(value, low, high, "seed", 12, ""), controls))
    return Record.of(MEASUREMENT, "my-models", parts=tuple(parts))


OLD, NEW = record((0.742, 0.63, 0.854)), record((0.318, 0.221, 0.415))
OTHERS = tuple(
    replace(OLD, id=id, parts=OLD.parts[:1], verdict=Verdict.REPLICATED)
    for id in ("PIR-03", "PIR-07")
)
RECORDED = Path("recorded/my-models/verdict.json")
POLICY = Policy(
    expected={("my-models", r.id): r.verdict for r in (OLD, *OTHERS)},
    recorded_in={"my-models": RECORDED},
)


def test_the_example_of_a_drift_is_what_is_printed() -> None:
    def provenance(torch: str, third: str) -> dict[str, object]:
        models = {"1": ["1a"], "2": ["2b"], "3": [third]}
        return {"commit": "86631ac043ff" + "0" * 28, "versions": {"torch": torch}, "models": models}

    old = Report("my-models", (OLD, *OTHERS), provenance("2.13.0", "3c"))
    new = Report("my-models", (NEW, *OTHERS), provenance("2.14.0", "4d"))
    assert "```\n" + "\n".join(explanation(compare(old, new))) + "\n```" in PAGE


def test_the_example_of_the_last_lines_is_what_is_printed() -> None:
    new = Path("reports/my-models/verdict.json")
    said = conclude((NEW, *OTHERS), POLICY, tests_passed=False, verdicts=[("my-models", new)])
    lines = closing_lines((NEW, *OTHERS), said, ending="The run completed.", written=(), kept=())
    assert "```\n" + "\n".join(lines) + "\n```" in PAGE


def test_the_example_of_an_annotation_is_what_is_printed() -> None:
    place = f"polyrot-claims/{CLAIM.relative_to(ROOT).as_posix()}"
    failures = POLICY.failures((NEW, *OTHERS))
    places = {("my-models", "PIR-05"): (place, 44)}
    (shown,) = annotations((NEW,), POLICY, failures, places)
    assert f"```\n{shown}\n```" in PAGE


def test_the_properties_that_the_page_names_are_those_of_junit() -> None:
    paragraph = PAGE.partition("**In `reports/junit.xml`**")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", paragraph)) == {name for name, _ in properties(NEW)}


@pytest.mark.parametrize(
    ("column", "policy"),
    [
        (1, Policy()),
        (2, Policy(strict=True)),
        (3, Policy(required=("PIR-05",))),
        (4, Policy(required=("PIR-99",))),
        (5, Policy(expected={("my-models", "PIR-05"): Verdict.ERROR})),
    ],
)
def test_the_table_of_what_fails_is_what_the_policy_decides(column: int, policy: Policy) -> None:
    words = {"pass": "passes", "fail": "fails", "skip": "skipped"}
    rows = re.findall(r"^\| ([A-Z][A-Z, ]+) \|(.*)\|$", PAGE, re.MULTILINE)
    assert {name for row, _ in rows for name in row.split(", ")} == set(Verdict)
    for names, cells in rows:
        cell = cells.split("|")[column - 1].strip()
        for name in names.split(", "):
            verdict = Verdict(name)
            if cell == "passes if recorded":
                recorded = Policy(expected={("my-models", "PIR-05"): verdict})
                assert recorded.decide(replace(OLD, verdict=verdict))[0] == "pass"
                cell = "fails"
            assert words[policy.decide(replace(OLD, verdict=verdict))[0]] == cell
