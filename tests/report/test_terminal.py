"""The table on a terminal: rows that explain themselves, in whatever width there is."""

from dataclasses import replace

import pytest
from planted_report import pairs_about, record, report
from toy_claim import ToyClaim

from polyrot.report.columns import LARGEST, SMALLEST, entry
from polyrot.report.terminal import table
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.claim import Kind
from polyrot.verdict.record import Record

BAD, GOOD = Kind.NEGATIVE, Kind.POSITIVE


@pytest.fixture
def claims(pytester: pytest.Pytester) -> ToyClaim:
    return ToyClaim(pytester)


def judged(value: float, **controls: tuple[Kind, float]) -> Record:
    bar = Bar.at_least(0.5, "score")
    own = record("TOY-02", bar, {"all": pairs_about(value)}, controls)
    return replace(own, characteristic=None)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_label_and_its_text_keep_to_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = list(entry("a label", "words " * 40, 30))
    assert max(map(len, rows)) <= columns
    assert len(rows[-1]) - len(rows[-1].lstrip()) == min(30, columns - 16)


def lines(*records: Record, **options: int) -> list[str]:
    return [line for line, _ in table(records, **options)]


def test_a_replicated_measurement_is_a_row_and_its_statement() -> None:
    own = record("TOY-01", Bar.at_least(0.5, "score"), {"all": pairs_about(0.9)}, {"x": (BAD, 0.1)})
    assert lines(own) == [
        "REPLICATED   TOY-01            0.9 [0.88, 0.92]  >= 0.5  controls 1/1",
        "             The number is large",
    ]


def test_a_refuted_one_says_what_was_expected_and_seen() -> None:
    assert lines(judged(0.1, big=(GOOD, 1.0), small=(BAD, 0.0)))[1:] == [
        "             The number is large",
        "             expected  score >= 0.5",
        "             seen      0.1 [0.0804, 0.12], outside the bar",
    ]


def test_a_vacuous_one_names_the_controls_that_met_the_bar() -> None:
    row, _, *explained = lines(judged(0.9, small=(BAD, 0.9), tiny=(BAD, 0.0)))
    assert row.startswith("VACUOUS")
    assert row.endswith("controls 1/2")
    assert explained == [
        "             expected  score >= 0.5, and not where the claim is false",
        "             seen      0.9 [0.88, 0.92], inside the bar; small, where the claim",
        "                       is false, meets it too",
    ]


def test_a_control_that_straddles_is_not_said_to_meet() -> None:
    own = judged(0.9, small=(BAD, 0.9), torn=(BAD, 0.5))
    (part,) = own.parts
    torn = replace(part.controls[1], placement=Placement.STRADDLES)
    mixed = replace(own, parts=(replace(part, controls=(part.controls[0], torn)),))
    assert "torn" not in " ".join(lines(mixed))


def test_an_open_one_says_why() -> None:
    said = " ".join(" ".join(lines(judged(0.9, small=(GOOD, 0.0)))[2:]).split())
    assert "why" in said
    assert "decides an instrument that sees the effect in small" in said
    assert "the bar is not met where the claim is true" in said


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
@pytest.mark.parametrize("columns", [LARGEST, 60, SMALLEST])
def test_no_line_is_longer_than_the_terminal(columns: int, verbosity: int) -> None:
    records = report().records
    shown = lines(*records, columns=columns, verbosity=verbosity)
    assert [line for line in shown if len(line) > columns] == []
    assert len([line for line in shown if line[:1] != " "]) == len(records)


def test_quiet_is_a_row_a_measurement() -> None:
    records = report().records
    assert len(lines(*records, verbosity=-1)) == len(records)


@pytest.mark.seconds
def test_the_options_and_the_environment_are_heard(
    claims: ToyClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims.write(0.1)
    plain = claims().stdout.str()
    assert "expected  score >= 0.5" in plain
    assert "\x1b[" not in plain
    assert "expected " not in claims("-q").stdout.str()
    assert "ok pos big world" in claims("-v").stdout.str()
    monkeypatch.delenv("PY_COLORS", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31mREFUTED" in claims().stdout.str()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in claims().stdout.str()
    monkeypatch.setenv("COLUMNS", "44")
    said = claims().stdout.str().partition("verdicts on toy")[2]
    # pytest's own summary is as wide as it likes, on a build machine (CI is set) even wider.
    table, summary, _ = said.partition("short test summary info")
    assert summary
    assert [line for line in table.splitlines() if line[:1] != "=" and len(line) > 44] == []
