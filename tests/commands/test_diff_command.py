"""`polyrot diff`: what it compares, and what it refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from toy_records import of, toy
from typer.testing import CliRunner, Result

from polyrot.cli import app
from polyrot.verdict.record import SCHEMA, Record


@pytest.fixture
def diff(tmp_path: Path) -> Callable[..., Result]:
    """Run the command on paths below a temporary folder."""

    def run(old: str, new: str, *options: str) -> Result:
        paths = [str(tmp_path / path) for path in (old, new)]
        return CliRunner().invoke(app, ["diff", *paths, *options])

    return run


def write(path: Path, *records: Record, suite: str = "toy") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(replace(of(*records), suite=suite).to_json())


def test_a_file_its_folder_and_the_folder_of_all_reports_mean_the_same(tmp_path, diff) -> None:
    write(tmp_path / "old/toy/verdict.json", toy())
    write(tmp_path / "new/toy/verdict.json", toy(all=0.1))
    (tmp_path / "old/calibration").mkdir()
    outputs = set()
    for old in ("old/toy/verdict.json", "old/toy", "old"):
        for new in ("new/toy/verdict.json", "new/toy", "new"):
            result = diff(old, new)
            assert result.exit_code == 1
            outputs.add(result.stdout)
    (output,) = outputs
    assert output.startswith("toy: 1 of 1 verdicts differ\n\nTOY-01            REPLICATED -> REF")
    equal = diff("old", "old")
    assert (equal.exit_code, equal.stdout) == (0, "toy: all 1 verdicts are equal\n")


def test_folders_are_compared_suite_by_suite(tmp_path, diff) -> None:
    for side, value in (("old", 0.9), ("new", 0.1)):
        write(tmp_path / side / "a/verdict.json", toy(), suite="a")
        write(tmp_path / side / "b/verdict.json", toy(all=value), suite="b")
    output = diff("old", "new").stdout
    assert output.index("a: all 1 verdicts are equal") < output.index("b: 1 of 1 verdicts differ")
    assert diff("old", "new/a").exit_code == 0
    write(tmp_path / "new/c/verdict.json", toy(), suite="c")
    write(tmp_path / "new/b/verdict.json", toy(), suite="b")
    more = diff("old", "new")
    assert more.exit_code == 1
    assert f"c: only in {tmp_path / 'new'}\n" in more.stdout


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_verbose_shows_the_circumstances_of_equal_verdicts(tmp_path, diff, option) -> None:
    write(tmp_path / "old.json", toy())
    write(tmp_path / "new.json", toy(all=1.5))
    assert "What else" not in diff("old.json", "new.json").stdout
    output = diff("old.json", "new.json", option).stdout
    assert "The runs agree in everything recorded" in output
    assert "0.9 [0.8, 1] -> 1.5 [1.4, 1.6]" in output


WHOLE = json.loads(of(toy()).to_json())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "{file}: no such file; `pytest claims/` writes a verdict.json for each suite"),
        ("not json", "Expected a verdict.json as `pytest claims/` writes it but {file} is not one"),
        ("\x00\xff", "but {file} is not one"),
        ("[]", "but {file} is not one"),
        ('{"schema": 1}', f"Expected schema {SCHEMA} in {{file}} but got 1; `pytest claims/` of"),
        (f'{{"schema": {SCHEMA}}}', "{file} lacks 'suite'; `pytest claims/` writes it anew"),
        (
            json.dumps({**WHOLE, "records": [{**WHOLE["records"][0], "verdict": "MAYBE"}]}),
            "{file} was altered: 'MAYBE' is not a valid Verdict",
        ),
        (json.dumps({**WHOLE, "records": ["x"]}), "{file} was altered: "),
        (json.dumps({**WHOLE, "provenance": 3}), "{file} was altered: "),
    ],
)
def test_a_file_that_is_no_report_is_one_clear_line(tmp_path, diff, text, message) -> None:
    write(tmp_path / "good.json", toy())
    bad = tmp_path / "bad.json"
    if text is not None:
        bad.write_bytes(text.encode("latin-1"))
    for result in (diff("good.json", "bad.json"), diff("bad.json", "good.json")):
        assert result.exit_code == 2
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("polyrot diff: ")
        assert message.format(file=bad) in line


def test_folders_that_cannot_be_compared_are_one_clear_line(tmp_path, diff) -> None:
    write(tmp_path / "one/verdict.json", toy(), suite="a")
    write(tmp_path / "two/verdict.json", toy(), suite="b")
    for twin in ("x", "y"):
        write(tmp_path / "twins" / twin / "verdict.json", toy(), suite="a")
    (tmp_path / "empty").mkdir()
    for other, message in (
        ("two", f"of one suite but {tmp_path / 'one'} is of a and {tmp_path / 'two'} of b"),
        ("empty", f"Expected verdict.json in {tmp_path / 'empty'} or in its subfolders but found"),
        ("twins", f"Expected one report per suite in {tmp_path / 'twins'} but two are of a; name"),
    ):
        result = diff("one", other)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert message in line
