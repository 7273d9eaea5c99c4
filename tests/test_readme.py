"""The README shows what is recorded."""

from readme_tables import README, with_tables


def test_the_tables_are_those_of_the_reports() -> None:
    text = README.read_text()
    assert text == with_tables(text), "run `python tests/readme_tables.py`"
    assert "= verdicts on dyck3-independent =" in text
