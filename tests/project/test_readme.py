"""The README shows what is recorded, and cites as CITATION.cff does."""

import re

import yaml
from readme_tables import PICTURE, README, ROOT, picture, with_tables


def test_the_tables_are_those_of_the_reports() -> None:
    text = README.read_text()
    assert text == with_tables(text), "run `python tests/helpers/readme_tables.py`"
    assert "= verdicts on dyck3-independent =" in text


def test_the_picture_is_that_of_the_report() -> None:
    assert PICTURE.read_text() == picture(), "run `python tests/helpers/readme_tables.py`"
    assert f"]({PICTURE.relative_to(ROOT).as_posix()})" in README.read_text()


def test_the_bibtex_entry_says_what_the_citation_file_says() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (entry,) = re.findall(r"^@(.*?)^}", README.read_text(), re.DOTALL | re.MULTILINE)
    fields = dict(re.findall(r"^ +(\w+) += \{(.*)\},$", entry, re.MULTILINE))
    (author,) = citation["authors"]
    assert entry.startswith(f"{citation['type']}{{{citation['title']},")
    assert fields.pop("author") == f"{{{author['name']}}}"
    assert fields == {name: citation[name] for name in ("title", "version", "abstract", "license")}


def test_the_authors_have_one_name() -> None:
    (author,) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["authors"]
    for file in ("LICENSE", "docs/conf.py"):
        assert author["name"] in (ROOT / file).read_text(), file
