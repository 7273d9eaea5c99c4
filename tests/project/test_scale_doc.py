"""The page on scale: its numbers are what its formulas give, its constants those of the code."""

import inspect
import re
from pathlib import Path

import pytest

import polyrot.plugin
from polyrot.compare import joint_fits, joint_moments
from polyrot.experiments.language import activations
from polyrot.linalg import identifiable, streaming
from polyrot.parallel import CLUSTER
from polyrot.sae.recipe import SAEConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text()
COLUMNS = ("7B", "70B")
UNITS = {
    "": 1.0,
    "FLOP": 1.0,
    "FLOP/s": 1.0,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "TB": 1e12,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "days": 86_400.0,
}
CELL = re.compile(r"([\d,]*\.?\d+(?:e\d+)?)(?: ([A-Za-z/]+))?")


def rows() -> list[tuple[str, str, dict[str, str]]]:
    """Symbol, formula and printed values of every row of the tables, from top to bottom."""
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 5:
            symbol, _, formula, *values = cells
            found.append(
                (symbol.strip("`"), formula.strip("`"), dict(zip(COLUMNS, values, strict=True)))
            )
    return found


ROWS = rows()


def computed(column: str) -> dict[str, float]:
    """Every symbol's value, from the given ones and the formulas of the page."""
    known: dict[str, float] = {}
    for symbol, formula, values in ROWS:
        if formula == "given":
            known[symbol] = printed(values[column])[0]
        else:
            known[symbol] = eval(formula, {"__builtins__": {}}, known)  # noqa: S307 - our own page
    return known


def printed(cell: str) -> tuple[float, float]:
    """Value of a cell, and half a unit of its last digit."""
    match = CELL.fullmatch(cell)
    assert match, cell
    digits, unit = match[1].replace(",", ""), UNITS[match[2] or ""]
    mantissa, _, exponent = digits.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return float(digits) * unit, 0.5 * 10 ** (int(exponent or 0) - decimals) * unit


@pytest.mark.parametrize("column", COLUMNS)
def test_every_number_is_what_its_formula_gives(column: str) -> None:
    known = computed(column)
    assert len(known) == len(ROWS) > 30
    for symbol, _, values in ROWS:
        value, slack = printed(values[column])
        assert abs(known[symbol] - value) <= 1.001 * slack, (symbol, known[symbol], values[column])


def test_cells_are_read_as_a_reader_reads_them() -> None:
    assert printed("13.5 GB") == pytest.approx((13.5e9, 0.05e9))
    assert printed("1.3e17 FLOP") == pytest.approx((1.3e17, 0.05e17))
    assert printed("6,738,415,616") == (6_738_415_616, 0.5)


def test_what_is_given_is_what_the_code_has() -> None:
    known = computed("7B")
    recipe = SAEConfig()
    assert known["shard"] == joint_moments.SHARD_TOKENS
    assert known["draws"] == identifiable.NULL_DRAWS
    assert known["chunk"] == streaming.CHUNK_NUMBERS
    assert known["number"] == activations.FLOAT_BYTES
    assert known["expansion"] == recipe.expansion
    assert known["sae_tokens"] == recipe.batch * recipe.steps
    # Sums of a pair: two autocovariances and a cross-covariance; and one matrix to work in.
    stream = streaming.JointMomentStream([("a", "b")])
    assert len(stream._products) == 3


def test_models_are_those_that_are_named() -> None:
    assert computed("7B")["N"] == 6_738_415_616  # Llama-2-7b, as its checkpoint has it
    assert computed("70B")["N"] == 68_976_648_192


def test_the_options_and_names_exist() -> None:
    plugin = Path(inspect.getfile(polyrot.plugin)).read_text()
    for option in ("--backend", "--jobs", "--cluster"):
        assert option in PAGE
        assert f'"{option}"' in plugin
    assert CLUSTER in PAGE
    for module, name in (
        (streaming, "MomentStream"),
        (joint_moments, "gather_moments"),
        (joint_fits, "fit_pairs"),
    ):
        assert f"`{name}`" in PAGE
        assert hasattr(module, name)
    assert (ROOT / "tests" / "power" / "test_memory.py").is_file()
