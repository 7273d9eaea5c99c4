"""The calibration matrix: what it counts, what it marks, and what a user sees of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from toy_claim import toy_suites

import polyrot.experiments.synthetic.worlds  # noqa: F401

# Imported here once: a run within this process then need not import them again.
from polyrot.report.calibration import findings, markdown, write_calibration
from polyrot.verdict.bar import Bar
from polyrot.verdict.calibration import (
    Calibration,
    Cell,
    Characteristic,
    Row,
    read_calibration,
)
from polyrot.verdict.claim import Claim, Measurement

SHARP = Row(
    "TOY-01",
    ">= 0.5",
    "score",
    (Cell("haar", 19, 20), Cell("identity", 1, 40), Cell("unrelated", 0, 20)),
    ("haar",),
    ("identity", "unrelated"),
)
BLUNT = replace(
    SHARP,
    id="TOY-02",
    cells=(Cell("haar", 19, 20), Cell("identity", 0, 20), Cell("unrelated", 20, 20)),
)
DEAF = replace(SHARP, id="TOY-03", cells=(Cell("haar", 0, 20, 20), Cell("identity", 0, 20)))
ABSENT = replace(SHARP, id="TOY-04", cells=(), not_run="no models")
MATRIX = Calibration(
    ("haar", "identity", "unrelated"), (SHARP, BLUNT, DEAF, ABSENT), 1, {"commit": "abc"}
)


def test_the_interval_is_clopper_and_pearsons() -> None:
    # 20 of 20: the low end solves p^20 = 0.025.
    assert Cell("haar", 20, 20).interval == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    low, high = Cell("haar", 7, 20).interval
    assert low < 7 / 20 < high


def test_a_bar_is_confused_by_what_meets_it_as_often_as_the_truth() -> None:
    assert SHARP.characteristic.confused == ()
    assert [cell.world for cell in BLUNT.characteristic.confused] == ["unrelated"]
    # One-sided Fisher test of 14 or 15 against 19 of 20: p = 0.046 and 0.091.
    for met, alike in ((14, False), (15, True)):
        characteristic = Characteristic((Cell("haar", 19, 20),), (Cell("identity", met, 20),))
        assert bool(characteristic.confused) is alike
    assert Characteristic((), (Cell("identity", 20, 20),)).confused == ()
    # The first true world is the reference, whatever else is true.
    true = (Cell("haar", 20, 20), Cell("noise", 0, 20))
    assert not Characteristic(true, (Cell("identity", 5, 20),)).confused


def test_the_weakest_alternative_is_that_met_most_often() -> None:
    false = (Cell("a", 5, 20), Cell("b", 9, 20), Cell("c", 0, 20))
    weakest = Characteristic((), false).weakest
    assert weakest is not None
    assert weakest.world == "b"
    assert SHARP.characteristic.weakest is None
    # The whole interval of the power must lie above 0.8.
    for cell, enough in ((Cell("a", 0, 16), False), (Cell("a", 0, 17), True)):
        assert (Characteristic((), (cell,)).weakest is None) is enough


def test_the_file_holds_all_of_it(tmp_path: Path) -> None:
    written = write_calibration(MATRIX, tmp_path)
    assert [path.name for path in written] == ["calibration.json", "calibration.md", "heatmap.svg"]
    assert read_calibration(written[0]) == MATRIX
    document = json.loads(written[0].read_text())
    assert document["measurements"]["TOY-02"]["cannot tell from"] == ["unrelated"]
    picture = written[2].read_bytes()
    assert b"F!" in picture
    assert write_calibration(MATRIX, tmp_path)[2].read_bytes() == picture


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 0}', '{"schema": 2, "worlds": []}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"Expected a calibration in .*calibration.json"):
        read_calibration(file)


def test_worlds_of_other_measurements_are_a_table_of_their_own() -> None:
    other = replace(SHARP, id="TOY-05", cells=(Cell("root", 1, 2), Cell("flat", 0, 2)))
    matrix = replace(
        MATRIX,
        worlds=("haar", "root", "identity", "unrelated", "flat"),
        rows=(SHARP, other, DEAF, ABSENT),
    )
    assert matrix.blocks == [
        (("haar", "identity", "unrelated"), (SHARP, DEAF)),
        (("root", "flat"), (other,)),
    ]
    tables = [line for line in markdown(matrix).splitlines() if line.startswith("| measurement")]
    assert tables == [
        "| measurement | bar | haar | identity | unrelated |",
        "| measurement | bar | root | flat |",
    ]
    assert "TOY-04" not in "".join(line for line in markdown(matrix).splitlines() if "|" in line)


def test_only_the_same_bar_and_the_same_definitions_are_looked_up() -> None:
    claim = Claim("TOY-01", "", "", true_in=("haar",), false_in=("identity",))
    measured = Measurement(claim, Bar.at_least(0.5, "score"), ())
    assert MATRIX.characteristic(measured, 1) == Characteristic(
        (Cell("haar", 19, 20),), (Cell("identity", 1, 40),)
    )
    assert MATRIX.characteristic(measured, 2) is None
    assert MATRIX.characteristic(replace(measured, published=True), 1) is None
    for bar in (Bar.at_least(0.6, "score"), Bar.at_least(0.5, "other score")):
        assert MATRIX.characteristic(replace(measured, bar=bar), 1) is None
    # Of a world that it names and that did not run nothing is known.
    more = replace(claim, false_in=("identity", "partial"))
    assert MATRIX.characteristic(replace(measured, claim=more), 1) is None
    absent = Measurement(Claim("TOY-04", "", ""), Bar.at_least(0.5, "score"), ())
    assert MATRIX.characteristic(absent, 1) is None


def test_the_table_marks_what_cannot_tell() -> None:
    text = markdown(MATRIX)
    row = next(line for line in text.splitlines() if line.startswith("| TOY-02"))
    assert "| T 0.95 [0.75, 1.00] | F 0.00 [0.00, 0.17] | F! 1.00 [0.83, 1.00] |" in row
    said = dict(line.split(maxsplit=1) for line in findings(MATRIX))
    assert said["TOY-01"].endswith("at most in 1 of 40 draws of identity, where it is false.")
    assert (
        "20 of 20 draws of unrelated, where it is false: the bar does not discriminate."
        in said["TOY-02"]
    )
    assert said["TOY-03"].endswith("the bar cannot be met, so missing it is no evidence.")
    assert said["TOY-04"] == "not measured: no models."
    straddling = replace(DEAF, cells=(Cell("haar", 0, 20), *DEAF.cells[1:]))
    (line,) = findings(replace(MATRIX, rows=(straddling,)))
    assert line.endswith("nor missed there: only missing it is evidence.")


def test_where_a_claim_is_neither_true_nor_false_one_draw_says_whether_the_bar_was_met() -> None:
    cells = (*SHARP.cells[:1], Cell("partial", 1, 1), Cell("noise", 0, 1))
    row = replace(SHARP, cells=cells)
    matrix = replace(MATRIX, worlds=("haar", "partial", "noise"), rows=(row,))
    assert "| T 0.95 [0.75, 1.00] | met | not met |" in markdown(matrix)


CLAIM = '''
"""TOY-01: the number is large."""
import pytest
from polyrot.stats.estimate import exact
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.errors import NotRun

CLAIM = Claim("TOY-01", "The number is large", "a toy", true_in=("haar",), false_in=("identity",))
MEASURED = Measurement(
    CLAIM, Bar.at_least(0.5, "score"), (negative("small world", 0.0), positive("big world", 1.0))
)
LARGE = {large}


@pytest.mark.measurement(MEASURED)
def test_hardened(suite_name, judge):
    def measure(value=None):
        {before}
        if value is None:
            value = float(any(suite_name.startswith(name) for name in LARGE))
        return {{"all": exact(value, unit="seed", n=5, method="by hand")}}

    judge(measure)
'''


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Write a claim whose number is large on some suites, and run it."""

    def run(large: tuple[str, ...], *arguments: str, before: str = "pass") -> pytest.RunResult:
        pytester.makepyfile(toy_01=CLAIM.format(large=large, before=before))
        pytester.makeini("[pytest]\npython_files = toy_*.py\n")
        with toy_suites():
            return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)

    return run


@pytest.mark.seconds
def test_calibrating_counts_draws_and_verdicts_show_it(run, pytester: pytest.Pytester) -> None:
    worlds = ["--suite", "world:haar", "--suite", "world:identity"]
    large = ("toy", "world:haar", "world:identity:1")
    result = run(large, *worlds, "--calibrate", "17")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "TOY-01 *met in 17 of 17 draws of haar, where the claim is true; at",
            "*most in 8 of 17 draws of identity, where it is false.",
        ]
    )
    matrix = read_calibration(pytester.path / "reports/calibration/calibration.json")
    assert matrix.rows[0].cells == (
        Cell("haar", 17, 17, 0, "REPLICATED"),
        Cell("identity", 8, 17, 9, "REFUTED"),
    )
    assert matrix.contradictions == []
    assert not (pytester.path / "reports" / "toy").exists()
    # Too little power against a named alternative.
    result = run(large, "--suite", "toy", "-v")
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE TOY-01*",
            "*but it is met in 8 of 17 draws*",
            "*bar met   in synthetic worlds: haar 17/17 where true; identity 8/17",
        ]
    )
    large = ("toy", "world:haar")
    run(large, *worlds, "--calibrate", "17")
    run(large, "--suite", "toy").stdout.fnmatch_lines(["REPLICATED   TOY-01*"])
    report = (pytester.path / "reports/toy/verdict.md").read_text()
    said = "Bar met in synthetic worlds: haar 17/17 where true; identity 0/17 where false."
    assert said in report
    assert (
        "Controls: the bar was missed where the claim is false (small world) "
        "and was met where the claim is true (big world)." in report
    )


def test_a_world_that_a_claim_does_not_name_is_drawn_once(run, pytester: pytest.Pytester) -> None:
    worlds = ["--suite", "world:haar", "--suite", "world:partial", "--calibrate", "3"]
    assert run(("world:haar",), *worlds).ret == 0
    matrix = read_calibration(pytester.path / "reports/calibration/calibration.json")
    assert [(cell.world, cell.draws) for cell in matrix.rows[0].cells] == [
        ("haar", 3),
        ("partial", 1),
    ]


def test_what_a_world_lacks_is_said_and_not_counted(run) -> None:
    result = run(
        (), "--suite", "world:haar", "--calibrate", "2", before='raise NotRun("no models")'
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["TOY-01 *not measured: no models."])
    strict = run(
        (), "--suite", "world:haar", "--calibrate", "2", "--strict", before='raise NotRun("no")'
    )
    assert strict.ret == 0


def test_verdicts_that_contradict_known_truth_are_named() -> None:
    cells = (
        Cell("haar", 0, 20, 20, "REFUTED"),
        Cell("identity", 20, 20, 0, "REPLICATED"),
        Cell("unrelated", 0, 20, 20, "REFUTED"),
        Cell("partial", 20, 20, 0, "REPLICATED"),
    )
    worlds = tuple(cell.world for cell in cells)
    matrix = replace(MATRIX, worlds=worlds, rows=(replace(SHARP, cells=cells),))
    assert matrix.contradictions == [("TOY-01", cells[0]), ("TOY-01", cells[1])]
    text = markdown(matrix)
    assert "there are 2 such cells." in text
    assert "- TOY-01: REFUTED in haar" in text
    assert "| TOY-01 | T REFUTED | F REPLICATED | F REFUTED | REPLICATED |" in text


def test_an_error_writes_no_matrix(run, pytester: pytest.Pytester) -> None:
    result = run((), "--suite", "world:haar", "--calibrate", "2", before="1 / 0")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["Not every draw was measured, so nothing was written*"])
    assert not (pytester.path / "reports").exists()


@pytest.mark.seconds
def test_a_part_of_the_worlds_leaves_the_whole_matrix_alone(run, pytester) -> None:
    both = ("--suite", "world:haar", "--suite", "world:identity")
    run(("world:haar",), *both, "--calibrate", "2")
    file = pytester.path / "reports/calibration/calibration.json"
    whole = file.read_text()
    result = run(("world:haar",), "--suite", "world:haar", "--calibrate", "3")
    assert "holds identity, which did not run now" in " ".join(result.stdout.str().split())
    assert file.read_text() == whole
    run((), "--suite", "world:haar", "--calibrate", "3", "--report-dir", "other")
    assert read_calibration(pytester.path / "other/calibration/calibration.json").worlds == (
        "haar",
    )


def test_only_worlds_are_calibrated_on(run) -> None:
    for wrong in ("toy", "world:haar:1"):
        result = run((), "--suite", wrong, "--calibrate", "2")
        assert result.ret != 0
        result.stderr.fnmatch_lines([f"*--calibrate: expected --suite among * but got {wrong}"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--calibrate", "-1"), "--calibrate: expected at least 1 draw but got -1"),
        (("--calibrate", "2", "--require", "TOY-01"), "gives no verdicts: leave --require out"),
        (("--calibrate", "2", "--retrain"), "gives no verdicts: leave --retrain out"),
    ],
)
def test_options_that_make_no_sense_are_named(run, arguments, message: str) -> None:
    result = run((), *arguments)
    assert result.ret != 0
    result.stderr.fnmatch_lines([f"*{message}"])


def test_what_measures_nothing_writes_nothing(run, pytester: pytest.Pytester) -> None:
    run((), "--calibrate", "2", "--collect-only")
    run((), "--calibrate", "2", "-k", "nothing")
    assert not (pytester.path / "reports").exists()


def test_a_world_named_twice_is_drawn_once(run, pytester: pytest.Pytester) -> None:
    run(("world:haar",), *2 * ("--suite", "world:haar"), "--calibrate", "2")
    matrix = read_calibration(pytester.path / "reports/calibration/calibration.json")
    assert matrix.rows[0].cells == (Cell("haar", 2, 2, 0, "REPLICATED"),)


@pytest.mark.process
def test_workers_share_no_draw_and_change_nothing(run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import os, pytest

        @pytest.fixture(autouse=True)
        def note(request, suite_name):
            with open(f"{os.environ['PYTEST_XDIST_WORKER']}.txt", "a") as file:
                print(suite_name, file=file)
        """
    )
    worlds = ["--suite", "world:haar", "--suite", "world:identity", "--calibrate", "4"]
    source = CLAIM.format(large=("world:haar",), before="pass").replace("TOY-01", "TOY-02")
    pytester.makepyfile(toy_02=source)
    result = run(("world:identity",), *worlds, "-n", "2")
    assert result.ret == 0
    seen = [set((pytester.path / f"gw{i}.txt").read_text().splitlines()) for i in (0, 1)]
    assert len(seen[0] | seen[1]) == 8
    assert not seen[0] & seen[1]
    matrix = read_calibration(pytester.path / "reports/calibration/calibration.json")
    assert matrix.worlds == ("haar", "identity")
    assert [row.cells for row in matrix.rows] == [
        (Cell("haar", 0, 4, 4, "REFUTED"), Cell("identity", 4, 4, 0, "REPLICATED")),
        (Cell("haar", 4, 4, 0, "REPLICATED"), Cell("identity", 0, 4, 4, "REFUTED")),
    ]


def test_a_broken_calibration_stops_the_run(run, pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("reports") / "calibration"
    folder.mkdir()
    (folder / "calibration.json").write_text("rotten")
    result = run(("toy",), "--suite", "toy")
    assert result.ret != 0
    assert "Expected a calibration in" in result.stdout.str() + result.stderr.str()
