"""Gate failures as annotations of a GitHub Actions job: the lines, and when they are printed."""

from dataclasses import replace

import pytest
from toy_claim import ToyClaim

from polyrot.report.annotations import annotations
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement
from polyrot.verdict.judge import Verdict
from polyrot.verdict.policy import Policy
from polyrot.verdict.record import Record


@pytest.fixture(autouse=True)
def on_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as in a job, whose own summary is left alone."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def claims(pytester: pytest.Pytester) -> ToyClaim:
    return ToyClaim(pytester)


def record(verdict: Verdict, reason: str = "because", id: str = "PIR-03") -> Record:
    measurement = Measurement(Claim(id, "", ""), Bar.at_least(0.5, "score"), ())
    return Record.of(measurement, "mine", verdict=verdict, reason=reason)


def lines(*records: Record, policy: Policy = Policy(), **places: tuple[str, int]) -> list[str]:
    where = {("mine", id.replace("_", "-")): place for id, place in places.items()}
    return list(annotations(records, policy, policy.failures(records), where))


def commands(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("::")]


def test_a_failure_names_its_file_line_claim_and_suite() -> None:
    assert lines(record(Verdict.REFUTED), PIR_03=("claims/pir_03.py", 12)) == [
        "::error file=claims/pir_03.py,line=12,title=PIR-03 on mine::REFUTED: because"
    ]


def test_what_would_end_a_command_or_a_property_is_escaped() -> None:
    odd = replace(record(Verdict.ERROR, "100%: a, b\r\nc"), suite="world:haar,1%")
    place = {("world:haar,1%", "PIR-03"): ("a,b:c%.py", 1)}
    assert list(annotations([odd], Policy(), Policy().failures([odd]), place)) == [
        "::error file=a%2Cb%3Ac%25.py,line=1,title=PIR-03 on world%3Ahaar%2C1%25"
        "::ERROR: 100%25: a, b%0D%0Ac"
    ]


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.NOT_RUN])
def test_what_is_open_and_fails_nothing_is_a_notice(verdict: Verdict) -> None:
    assert lines(record(verdict)) == [f"::notice title=PIR-03 on mine::{verdict}: because"]
    for policy in (Policy(strict=True), Policy(required=("PIR-03",))):
        assert lines(record(verdict), policy=policy) == [
            f"::error title=PIR-03 on mine::{verdict}: because"
        ]
    agreed = Policy(expected={("mine", "PIR-03"): verdict})
    assert lines(record(verdict), policy=agreed) == []


def test_what_holds_or_is_not_demanded_is_not_mentioned() -> None:
    assert lines(record(Verdict.REPLICATED)) == []
    assert lines(
        record(Verdict.REFUTED), record(Verdict.REPLICATED, id="PIR-05"),
        policy=Policy(required=("PIR-05",)),
    ) == []  # fmt: skip


def test_a_drift_says_old_and_new() -> None:
    policy = Policy(expected={("mine", "PIR-03"): Verdict.REPLICATED})
    assert lines(record(Verdict.VACUOUS), policy=policy) == [
        "::error title=PIR-03 on mine::recorded REPLICATED, now VACUOUS: because"
    ]
    assert lines(record(Verdict.REPLICATED, id="PIR-09"), policy=policy) == [
        "::error title=PIR-03 on mine::recorded REPLICATED, but not measured",
        "::error title=PIR-09 on mine::no verdict recorded, now REPLICATED: because",
    ]


def test_the_worst_comes_first_as_the_service_shows_ten() -> None:
    found = lines(
        record(Verdict.INCONCLUSIVE, id="PIR-01"),
        record(Verdict.VACUOUS, id="PIR-02"),
        record(Verdict.REFUTED, id="PIR-04"),
        record(Verdict.REFUTED, id="PIR-03"),
        record(Verdict.ERROR, id="PIR-05"),
        policy=Policy(required=()),
    )
    assert [line.split("title=")[1][:6] for line in found] == [
        "PIR-05", "PIR-03", "PIR-04", "PIR-02", "PIR-01",
    ]  # fmt: skip


@pytest.mark.parametrize("options", [(), ("-s",), ("-q", "--tb=no")])
def test_each_failure_is_one_command_on_standard_output(claims, options) -> None:
    claims.write(0.1)
    claims.write(0.5, id="TOY-02")
    claims.write(0.9, id="TOY-03")
    result = claims(*options)
    assert result.ret == 1
    assert commands(result) == [
        "::error file=toy_01.py,line=19,title=TOY-01 on toy"
        "::REFUTED: the interval lies outside the bar (>= 0.5)",
        "::notice file=toy_02.py,line=19,title=TOY-02 on toy"
        "::INCONCLUSIVE: the interval straddles the bar (>= 0.5)",
    ]


def test_the_line_is_that_of_the_test(claims, pytester) -> None:
    claims.write(0.1)
    (command,) = commands(claims())
    line = int(command.partition("line=")[2].partition(",")[0])
    source = (pytester.path / "toy_01.py").read_text().splitlines()
    assert source[line - 1].startswith("@pytest.mark.measurement")


def test_files_are_named_from_the_top_of_the_job(claims, pytester, monkeypatch) -> None:
    claims.write(0.1)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    (command,) = commands(claims())
    assert f"file={pytester.path.name}/toy_01.py," in command
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path / "elsewhere"))
    (command,) = commands(claims())
    assert "file=toy_01.py," in command


@pytest.mark.seconds
def test_gates_annotate_what_they_fail_for(claims) -> None:
    claims.write(0.1)
    claims.write(0.9, before="raise NotRun('no weights; `polyrot train toy`')", id="TOY-02")
    place = "::error file=toy_02.py,line=19,title=TOY-02 on toy"
    assert commands(claims("--require", "TOY-02")) == [
        f"{place}::NOT RUN: no weights; `polyrot train toy`"
    ]
    claims("--report-dir", "old")
    claims.write(0.9)
    assert commands(claims("--expect", "old/toy/verdict.json")) == [
        "::error file=toy_01.py,line=19,title=TOY-01 on toy"
        "::recorded REFUTED, now REPLICATED: inside the bar; every control behaved"
    ]


def test_an_error_of_several_lines_is_one_command(claims) -> None:
    claims.write(0.9, before="raise ValueError('one\\ntwo')")
    assert commands(claims()) == [
        "::error file=toy_01.py,line=19,title=TOY-01 on toy::ERROR: ValueError: one%0Atwo"
    ]


@pytest.mark.parametrize("value", [None, "", "false"])
def test_nothing_is_printed_elsewhere(claims, monkeypatch, value) -> None:
    if value is None:
        monkeypatch.delenv("GITHUB_ACTIONS")
    else:
        monkeypatch.setenv("GITHUB_ACTIONS", value)
    claims.write(0.1)
    result = claims()
    assert result.ret == 1
    assert commands(result) == []
