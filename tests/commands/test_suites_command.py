"""`polyrot suites`: what is listed, shown and found wrong, as it is printed."""

import shutil
from pathlib import Path

import pytest
from planted_language import CONTEXT, LAYERS, change, neox, write_suite
from typer.testing import CliRunner, Result

from polyrot.cli import app
from polyrot.experiments.language.suite_file import read_suite_file
from polyrot.models import hub
from polyrot.suites.registry import suite_files, suite_names, worlds


def suites(*arguments: str) -> Result:
    for known in (hub.architecture, hub.skeleton):
        known.cache_clear()  # a folder may have changed since another test
    return CliRunner().invoke(app, ["suites", *arguments])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return write_suite(folder, [neox(seed) for seed in range(3)], name="mine").parent


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return shutil.copytree(written, tmp_path / "copy")


def problems(file: Path) -> list[str]:
    """What is found wrong, `line: field: message` each."""
    result = suites("check", str(file))
    assert (result.exit_code, result.stderr) == (1, "")
    *said, last = result.stdout.splitlines()
    count = "1 problem" if len(said) == 1 else f"{len(said)} problems"
    assert last == f"{count}; docs/your-models.md describes every field"
    return [line.removeprefix(f"{file}:") for line in said]


def changed(folder: Path, *changes: tuple[str, str], more: str = "") -> Path:
    return change(folder / "mine.toml", *changes, more=more)


def line_of(file: Path, text: str) -> int:
    (line,) = (i for i, line in enumerate(file.read_text().splitlines(), 1) if text in line)
    return line


def test_every_suite_is_listed_in_eighty_columns() -> None:
    result = suites()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    names = {line.split()[0] for line in lines if line and not line.startswith(" ")}
    one_by_one = {name for name in suite_names() if not name.startswith("world:")}
    assert {*one_by_one, "published:DIR", "world:NAME", "FILE.toml"} <= names
    assert all(name in result.stdout for name in worlds())
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", sorted(suite_files()))
def test_what_is_shown_of_a_suite_is_a_suite_file(name: str, tmp_path: Path) -> None:
    result = suites("show", name)
    assert result.exit_code == 0
    file = tmp_path / "shown.toml"
    file.write_text(result.stdout)
    assert read_suite_file(file) == read_suite_file(suite_files()[name])


def test_a_suite_without_a_file_is_not_shown() -> None:
    result = suites("show", "dyck3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(
        "polyrot suites show: Expected a suite that a file describes among agreement, "
    )
    assert "but got 'dyck3'" in result.stderr


def test_a_file_without_problems_says_what_it_runs(folder: Path) -> None:
    file = folder / "mine.toml"
    result = suites("check", str(file))
    assert (result.exit_code, result.stderr) == (0, "")
    parameters = sum(p.numel() for p in neox().parameters())
    assert result.stdout.splitlines() == [
        f"mine: 3 models of {parameters:,} parameters, d_model 32",
        "sites: resid_pre.0, resid_post.0, resid_post.1, resid_post.2",
        "tokens: 48 sequences of 16, and 48 for autoencoders",
        "claims: all that apply to language models",
        "note: no [[controls]]: PIR-02 lacks the control of a model of another task",
        "note: no models.earlier: PIR-14 is NOT RUN",
        f"run it: pytest claims/ --suite {file}",
    ]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = suites("check", str(tmp_path / "no.toml"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert str(tmp_path / "no.toml") in result.stderr


def test_all_that_the_folders_show_is_told_at_once(folder: Path) -> None:
    """Models, claims and texts are looked at whatever else is missing."""
    shutil.rmtree(folder / "seed2")
    (folder / "seed3" / "model.safetensors").unlink()
    (folder / "away.txt").unlink()
    file = changed(folder, ('name = "mine"', 'name = "mine"\nclaims = ["PIR-05", "PIR-99"]'))
    models = f"{line_of(file, 'folder =')}: models[1].folder"
    assert problems(file) == [
        "2: claims[2]: there is no claim PIR-99",
        f"{line_of(file, 'away =')}: steering.own[1].away: there is no file {folder / 'away.txt'}",
        f"{models}: there is no folder {folder / 'seed2'}; give one written by save_pretrained",
        f"{models}: {folder / 'seed3'} has no weights: neither model.safetensors nor "
        "pytorch_model.bin",
    ]


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        (
            "sequences = 48\nlength = 16",
            f"sequences = 24\nlength = {CONTEXT + 1}",
            "tokens",
            "lower tokens.length",
        ),
        ('["text.txt"]', '["none*.txt"]', "tokens.files", "no file matches "),
        (
            'files = ["text.txt"]',
            'files = ["text.txt"]\ntokenizer = "no/where"',
            "tokens.tokenizer",
            "there is no folder ",
        ),
        ("[tokens]", 'sites = ["resid_post.9"]\n[tokens]', "sites", "mine has no resid_post.9"),
        (
            "contrasts = []",
            'contrasts = []\nsite = "resid_post.9"',
            "steering.site",
            f"but got resid_post.{LAYERS + 6}",
        ),
        ("expansion = 2", 'folder = "s/{seed}/{site}"', "sae.folder", "s/1/resid_pre.0"),
        ('away = "away.txt"', 'away = "few.txt"', "steering.own[1]", "class has 1 distinct"),
        (
            "[steering]",
            "[dictionaries]\ngroups = 2\nrank = 5\nsteps = 2\n[steering]",
            "dictionaries",
            "Expected rank to divide 512 features",
        ),
        (
            "[steering]",
            '[dictionaries]\nsite = "resid_post.9"\ngroups = 2\nrank = 4\nsteps = 2\n[steering]',
            "dictionaries.site",
            "but got resid_post.9",
        ),
    ],
)
def test_what_loading_shows_is_told_at_its_field(
    folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, field: str, message: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (folder / "few.txt").write_text("one text of enough words to be a text of its own at all\n")
    file = changed(folder, (old, new))
    (said,) = problems(file)
    _, found, *rest = said.split(": ")
    assert found == field
    assert message in ": ".join(rest)


def test_every_contrast_is_looked_at_and_told_at_its_own_line(folder: Path) -> None:
    (folder / "few.txt").write_text("one text of enough words to be a text of its own at all\n")
    more = '[[steering.own]]\nname = "{}"\ntoward = "toward.txt"\naway = "{}"\n'
    file = changed(folder, more=more.format("gone", "gone.txt") + more.format("second", "few.txt"))
    gone = f"there is no file {folder / 'gone.txt'}"
    first, second = problems(file)
    assert first == f"{line_of(file, 'gone.txt')}: steering.own[2].away: {gone}"
    assert second.startswith(
        f"{line_of(file, 'second') - 1}: steering.own[3]: second has 1 distinct"
    )


def test_checkpoints_beside_the_last_are_told_at_their_own_field(folder: Path) -> None:
    file = changed(folder, more='untrained = "seed{seed}-start"\nearlier = ["seed{seed}-half"]\n')
    mend = "give one written by save_pretrained"
    said = problems(file)
    assert len(said) == 6
    assert f"{line_of(file, 'untrained')}: models[1].untrained: there is no folder " in said[0]
    assert said[-1] == (
        f"{line_of(file, 'earlier')}: models[1].earlier: there is no folder "
        f"{folder / 'seed3-half'}; {mend}"
    )


def test_controls_that_could_not_run_are_told(folder: Path) -> None:
    more = '[[controls]]\nseeds = [{}]\nfolder = "other{{seed}}"\n'
    for seed in (7, 8, 9):
        neox(seed, hidden_size=16 if seed == 9 else 32).save_pretrained(folder / f"other{seed}")
    file = folder / "mine.toml"
    text = file.read_text()
    for seeds, message in (
        ("7, 8", "mine names 2 models of another task; give some as [[controls]], equal in"),
        ("7, 8, 9", f"{folder / 'other9'} has width 16 but the models of mine have 32"),
    ):
        file.write_text(text + more.format(seeds))
        (said,) = problems(file)
        assert said.startswith(f"{line_of(file, 'controls')}: controls: {message}")
    (folder / "other9" / "config.json").unlink()
    assert "other9 has no config.json" in problems(file)[0]


def test_a_file_that_an_editor_marked_is_read_as_any_other(folder: Path) -> None:
    file = changed(folder, ('["text.txt"]', '["none.txt"]'))
    expected = problems(file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert problems(file) == expected


def test_a_name_that_is_too_long_for_a_path_is_one_line(folder: Path) -> None:
    file = changed(folder, ('away = "away.txt"', f'away = "{"a" * 300}"'))
    result = suites("check", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("polyrot suites check: [Errno 36] File name too long")


def test_a_tokenizer_that_is_missing_is_told_once(folder: Path) -> None:
    for seed in (1, 2, 3):
        (folder / f"seed{seed}" / "tokenizer.json").unlink()
    file = folder / "mine.toml"
    (said,) = problems(file)
    assert said.startswith(
        f"{line_of(file, '[tokens]')}: tokens.tokenizer: {folder / 'seed1'} has no tokenizer; save"
    )


def test_models_of_two_widths_are_told_apart(folder: Path) -> None:
    neox(3, hidden_size=16).save_pretrained(folder / "seed2")
    said = problems(folder / "mine.toml")
    assert any(
        "models: the models of mine differ in width (seed 1: 32, seed 2: 16" in s for s in said
    )
