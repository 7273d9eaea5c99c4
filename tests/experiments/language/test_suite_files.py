"""Suite files: what is accepted, and every problem of one at once, each with its line."""

import subprocess
import sys
from pathlib import Path

import pytest

from polyrot.experiments.language.suite_file import (
    SuiteFile,
    SuiteFileError,
    read_suite_file,
)
from polyrot.experiments.language.validation import problems_of
from polyrot.suites.registry import check_suite, find_suite, suite_files, suite_names

LEAST = """\
name = "mine"
[[models]]
seeds = [1, 2, 3]
folder = "seed{seed}"
"""


def read(tmp_path: Path, text: str) -> SuiteFile:
    path = tmp_path / "suite.toml"
    path.write_text(text, encoding="utf-8")
    return read_suite_file(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    """What is said of a file, a line for every problem, without the file's name."""
    with pytest.raises(SuiteFileError) as raised:
        read(tmp_path, text)
    path = tmp_path / "suite.toml"
    said = str(raised.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in said)
    return [line.removeprefix(f"{path}:") for line in said]


def test_a_file_needs_a_name_and_models_alone(tmp_path: Path) -> None:
    file = read(tmp_path, LEAST)
    assert (file.name, file.seeds) == ("mine", (1, 2, 3))
    assert (file.sites, file.claims, file.controls) == ([], [], [])
    assert (file.tokens.sequences, file.tokens.length, file.sae.expansion) == (256, 256, 8)
    assert file.steering.contrasts == ["code", "string", "comment"]


def test_everything_that_a_file_can_say_is_read(tmp_path: Path) -> None:
    file = read(
        tmp_path,
        """
name = "mine-2.0"
description = "All of it"
dtype = "bfloat16"
sites = ["resid_pre.0", "resid_pre.2", "final_norm"]
claims = ["PIR-03", "CORE-11"]
controls = [{seeds = [1, 2], folder = "other{seed}"}]
models = [
    {seed = 1, hub = "a/b", earlier = ["x"], untrained = "y"},
    {seeds = [2, 3], hub = "a/c", revision = "run{seed}", earlier = ["run{seed}-x"]},
]
published = {PIR-03 = "below 0"}
[tokens]
files = ["*.txt"]
held_out = 0.5
[sae]
folder = "saes/{seed}/{site}"
l1 = 0
[dictionaries]
site = "resid_pre.2"
groups = 3
rank = 4
steps = 100
[steering]
site = "final_norm"
contrasts = []
[[steering.own]]
name = "tone"
toward = "kind.txt"
away = "rude.txt"
""",
    )
    assert file.seeds == (1, 2, 3)
    # Two names of one site are one site.
    assert file.sites == ["resid_pre.0", "resid_post.1", "final_norm"]
    assert file.published == {"PIR-03": "below 0"}
    assert file.models[1].earlier == ["run{seed}-x"]
    assert file.controls[0].all_seeds == (1, 2)
    assert file.sae.l1 == 0.0
    assert file.steering.own[0].away == "rude.txt"
    assert file.dictionaries is not None
    said = file.dictionaries
    assert (said.site, said.groups, said.rank, said.expansion) == ("resid_post.1", 3, 4, 16)


def test_dictionaries_say_their_budget_and_groups_are_of_several_columns(tmp_path: Path) -> None:
    table = "[dictionaries]\ngroups = 0\nrank = 1\ndecay = 2\nl1 = 3\n"
    said = problems(tmp_path, LEAST + table)
    known = "site, groups, rank, expansion, steps, batch, learning_rate, nuclear, auxiliary, decay"
    assert said == [
        "5: dictionaries.steps: is missing",
        "6: dictionaries.groups: input should be greater than or equal to 1 but got 0",
        "7: dictionaries.rank: input should be greater than or equal to 2 but got 1",
        "8: dictionaries.decay: input should be less than or equal to 1 but got 2",
        f"9: dictionaries.l1: there is no such field; there are {known}",
    ]


def test_one_model_is_enough_where_dictionaries_are_compared(tmp_path: Path) -> None:
    one = 'name = "one"\n[[models]]\nseed = 1\nfolder = "x"\n'
    assert problems(tmp_path, one) == [
        "2: models: expected at least two seeds: claims compare models with each other"
    ]
    file = read(tmp_path, one + "[dictionaries]\ngroups = 2\nrank = 2\nsteps = 10\n")
    assert file.seeds == (1,)


def test_all_is_a_word_for_no_choice(tmp_path: Path) -> None:
    file = read(tmp_path, 'sites = "all"\nclaims = "all"\n' + LEAST)
    assert (file.sites, file.claims) == ([], [])
    assert problems(tmp_path, 'claims = "some"\n' + LEAST) == [
        "1: claims: expected \"all\" or a list but got 'some'"
    ]


EVERY_PROBLEM = '''\
name = "a b"
description = 3
dtype = "float64"
sites = [
    "resid_mid.0",
    3,
    "resid_pre.1",
    "resid_post.0",
]
claims = ["PIR-03", "pir"]
modles = 3
[tokens]
length = 4
held_out = 1
sequences = 2.5
files = "x"
"dataset" = "y"
batch = 0
[sae]
l1 = nan
learning_rate = inf
steps = true
folder = """
name = "of nothing" {seed}"""
[steering]
contrasts = ["code", "prose"]
site = "x"
[[steering.own]]
name = "code"
[published]
PIR-03 = 3
PIR-4b = "x"
[[models]]
seed = -1
folder = 3
[[models]]
seed = "x"
sed = 1
revision = "step1"
[[models]]
seeds = [1, 1]
seed = 1
hub = "a"
folder = "b"
[[models]]
[[models]]
seeds = [5, 6]
artifact = "textlm"
earlier = ["{seed}"]
[[models]]
seeds = [7, 8]
hub = "a"
earlier = ["step1", "step{seed}"]
[[controls]]
seeds = [7, 7]
folder = "b"
'''
EXPECTED = [
    "1: name: string should match pattern '^[A-Za-z0-9][A-Za-z0-9._-]*$' but got 'a b'",
    "2: description: input should be a valid string but got 3",
    "3: dtype: input should be 'float32', 'bfloat16' or 'float16' but got 'float64'",
    "5: sites[1]: expected resid_pre.N, resid_post.N or final_norm (after the last norm) but "
    "got 'resid_mid.0'",
    "6: sites[2]: input should be a valid string but got 3",
    "8: sites[4]: expected every site once but got resid_post.0 again: resid_pre.1 is the same",
    "10: claims[2]: expected the id of a claim, such as PIR-05, but got 'pir'",
    "11: modles: there is no such field; there are name, description, models, controls, sites, "
    "dtype, claims, tokens, sae, dictionaries, steering, published",
    "12: tokens: expected one of dataset, files and file but got dataset and files",
    "13: tokens.length: input should be greater than or equal to 8 but got 4",
    "14: tokens.held_out: input should be less than 1 but got 1",
    "15: tokens.sequences: input should be a valid integer but got 2.5",
    "16: tokens.files: input should be a valid list but got 'x'",
    "18: tokens.batch: input should be greater than or equal to 1 but got 0",
    "20: sae.l1: input should be a finite number but got nan",
    "21: sae.learning_rate: input should be a finite number but got inf",
    "22: sae.steps: input should be a valid integer but got True",
    "23: sae.folder: expected {site} in 'name = \"of nothing\" {seed}'",
    "26: steering.contrasts[2]: input should be 'code', 'string' or 'comment' but got 'prose'",
    "27: steering.site: expected resid_pre.N, resid_post.N or final_norm (after the last norm) "
    "but got 'x'",
    "28: steering.own[1].away: is missing",
    "28: steering.own[1].toward: is missing",
    "29: steering.own[1].name: expected different names of contrasts but got 'code' again",
    "31: published.PIR-03: input should be a valid string but got 3",
    "32: published.PIR-4b: expected the id of a claim, such as PIR-05, but got 'PIR-4b'",
    "34: models[1].seed: input should be greater than or equal to 0 but got -1",
    "35: models[1].folder: input should be a valid string but got 3",
    "36: models[2]: expected one of hub, folder and artifact but got none",
    "37: models[2].seed: input should be a valid integer but got 'x'",
    "38: models[2].sed: there is no such field; there are seed, seeds, hub, revision, folder, "
    "artifact, earlier, untrained, size",
    "39: models[2].revision: applies only to a model on the hub",
    "40: models[3]: expected either seed or seeds",
    "40: models[3]: expected one of hub, folder and artifact but got hub and folder",
    "41: models[3].seeds: expected every seed once but got 1 3 times",
    "42: models[3].seed: expected every seed once but got 1 3 times",
    "43: models[3].hub: expected {seed} in 'a': there are several seeds",
    "45: models[4]: expected either seed or seeds",
    "45: models[4]: expected one of hub, folder and artifact but got none",
    "49: models[5].earlier: applies only to a model on the hub or in a folder",
    "52: models[6].hub: expected {seed} in 'a': there are several seeds",
    "53: models[6].earlier: expected 0 as for the first models but got 2",
    "53: models[6].earlier[1]: expected {seed} in 'step1': seeds have different checkpoints",
    "55: controls[1].seeds: expected every seed once but got 7 2 times",
    "56: controls[1].folder: expected {seed} in 'b': there are several seeds",
]


def test_every_problem_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    assert sorted(problems(tmp_path, EVERY_PROBLEM)) == sorted(EXPECTED)


def test_problems_come_in_the_order_of_their_lines(tmp_path: Path) -> None:
    lines = [int(problem.partition(":")[0]) for problem in problems(tmp_path, EVERY_PROBLEM)]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1: models: is missing", "1: name: is missing"]),
        ("\n\nname = 'a'\nmodels = []\n", ["4: models: list should have at least 1 item"]),
        ("name = 'a'\nmodels = 3\n", ["2: models: input should be a valid list but got 3"]),
        ("name = 'a'\n[models]\nseed = 1\n", ["2: models: input should be a valid list but got"]),
        ("name = 'a'\nmodels = [1]\n", ["2: models[1]: expected a table but got 1"]),
        (
            "name = 'a'\n[[models]]\nseed = 1\nfolder = 'x'\n",
            ["2: models: expected at least two seeds: claims compare models with each other"],
        ),
        (
            LEAST + "[models.nested]\nseed = 1\n",
            ["5: models[1].nested: there is no such field"],
        ),
        (
            "tokens = 3\nsae = []\nsteering = 'x'\npublished = 1\n" + LEAST,
            [
                "1: tokens: expected a table but got 3",
                "2: sae: expected a table but got []",
                "3: steering: expected a table but got 'x'",
                "4: published: expected a table but got 1",
            ],
        ),
        (
            LEAST + "[[models]]\nseed = 9\nfolder = 'x'\nearlier = 'half'\n",
            ["8: models[2].earlier: input should be a valid list but got 'half'"],
        ),
    ],
)
def test_fields_of_the_wrong_shape_are_named(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    said = sorted(problems(tmp_path, text))
    assert len(said) == len(expected)
    for problem, start in zip(said, expected, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = 'a'\nname = 'b'\n", "2: invalid TOML: Cannot overwrite a value"),
        ("name = 'a'\n[tokens]\nlength = 8\n[tokens]\n", "4: invalid TOML: Cannot declare"),
        ("name = 'a'\n\nmodels = [\n", "3: invalid TOML: Invalid value"),
        ('name = "a\n', "1: invalid TOML: "),
        ("name = 'a'\n[[models]\n", "2: invalid TOML: "),
    ],
)
def test_a_syntax_error_is_reported_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(expected)
    assert "at line" not in problem


def test_a_file_that_is_no_text_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_bytes(b"name = 'a'\n# \xff\n")
    with pytest.raises(SuiteFileError, match=r"suite.toml:2: invalid TOML: not UTF-8$"):
        read_suite_file(tmp_path / "suite.toml")


def test_a_byte_order_mark_and_foreign_line_ends_do_no_harm(tmp_path: Path) -> None:
    text = LEAST.replace("\n", "\r\n")
    (tmp_path / "suite.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_suite_file(tmp_path / "suite.toml").seeds == (1, 2, 3)
    (tmp_path / "suite.toml").write_bytes(text.encode() + b"dtype = 3\r\n")
    with pytest.raises(SuiteFileError, match=r":5: models\[1\].dtype: there is no such field"):
        read_suite_file(tmp_path / "suite.toml")


def test_the_files_that_come_with_polyrot_are_valid_and_named_as_they_are() -> None:
    files = suite_files()
    assert len(files) >= 6
    for name, path in files.items():
        file = read_suite_file(path)
        assert file.name == name
        assert name in suite_names()
        assert len(file.seeds) >= 3 or file.dictionaries
        assert file.claims
        assert set(file.published) <= set(file.claims)


@pytest.mark.process
def test_a_file_is_validated_without_loading_torch(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(EVERY_PROBLEM)
    code = (
        "import sys; from pathlib import Path\n"
        "from polyrot.suites.registry import find_suite\n"
        "try: find_suite(sys.argv[1])\n"
        "except ValueError as error: print(len(str(error).splitlines()))\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])\n"
    )
    path = str(tmp_path / "suite.toml")
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str(len(EXPECTED)), "[]"]


def test_reports_call_a_suite_by_the_name_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(LEAST)
    assert find_suite(str(path)).called == "mine"
    assert find_suite("pythia-70m").called == "pythia-70m"
    assert find_suite("dyck3").called == "dyck3"
    assert find_suite("world:haar").called == "world:haar"
    check_suite(str(path))


def test_a_suite_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected a suite file but there is no file .*no\.toml"):
        check_suite(str(tmp_path / "no.toml"))
    expected = r"Expected a suite among dyck3, .*textlm.*, FILE\.toml but got 'mine'"
    with pytest.raises(ValueError, match=expected):
        check_suite("mine")


def test_a_file_that_takes_a_built_in_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(LEAST.replace("mine", "dyck3"))
    with pytest.raises(ValueError, match="'dyck3' is a suite of polyrot's.* choose another"):
        check_suite(str(tmp_path / "suite.toml"))
    check_suite("textlm")


def test_a_claim_that_there_is_none_of_is_found_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text('claims = ["PIR-05", "PIR-99", "OWN-01"]\n' + LEAST)
    found = [str(p) for p in problems_of(path) if p.field.startswith("claims")]
    assert found == ["claims[2]: there is no claim PIR-99"]
