"""Ratios, tables, rooflines and comparisons, on rows whose answers are plain to see."""

from dataclasses import replace
from itertools import pairwise

import pytest

from harness import table, units
from harness.compare import fallen, unknown
from harness.roofline import roofline, sentence
from harness.rows import Ceilings, GroupFacts, Results, Row, is_met, ratios, short

FACTS = GroupFacts("turn", "Turns of a matrix", "d", "matrix", "largest difference", "A note.")
CEILINGS = Ceilings(float64=100e9, float32=200e9, copy=10e9)
OURS = Row("turn", "64", 64, "ours", True, 0.001, 40, 1e-16, operations=20e6, bytes_moved=1e6)
PEER = Row("turn", "64", 64, "scipy.linalg.turn", False, 0.004, 20, 3e-13, at_least=3.0)
LARGE = (
    replace(OURS, case="128", size=128, seconds=0.004),
    replace(PEER, case="128", size=128, seconds=0.008),
)
ROWS = (OURS, PEER, *LARGE)


def results(rows: tuple[Row, ...] = ROWS) -> Results:
    return Results(
        device="cpu",
        full=False,
        date="2026-01-02",
        commit="abc",
        machine={"cores": 2},
        threads={"torch": 2},
        versions={"numpy": "2.0"},
        ceilings=CEILINGS,
        groups=(FACTS,),
        rows=rows,
    )


def test_ratios_are_to_our_row_of_the_same_case() -> None:
    assert ratios(ROWS) == {PEER.key: pytest.approx(4.0), LARGE[1].key: pytest.approx(2.0)}


def test_a_case_without_ours_has_no_ratio() -> None:
    assert ratios([PEER]) == {}


def test_short_rows_are_those_below_what_was_asked() -> None:
    assert short(ROWS) == [LARGE[1]]


@pytest.mark.parametrize(
    ("ratio", "at_least", "met"),
    [(0.96, 1.0, True), (0.94, 1.0, False), (14.9, 15.0, False), (15.0, 15.0, True)],
)
def test_only_never_slower_leaves_room_for_noise(ratio: float, at_least: float, met: bool) -> None:
    assert is_met(ratio, at_least) is met


def test_results_survive_json() -> None:
    found = results()
    assert Results.from_json(found.to_json()) == found


def test_results_of_another_schema_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected schema 1 but got 0; write the results anew"):
        Results.from_json({**results().to_json(), "schema": 0})


def test_the_terminal_table_marks_ours_and_what_was_met() -> None:
    assert table.terminal(FACTS, ROWS) == [
        "Turns of a matrix; time per matrix",
        "d                        median  n ratio asked       error",
        "64  * ours              1.00 ms 40                   1e-16",
        "      scipy.linalg.turn 4.00 ms 20 4.00x    3x met   3e-13",
        "128 * ours              4.00 ms 40                   1e-16",
        "      scipy.linalg.turn 8.00 ms 20 2.00x    3x short 3e-13",
    ]


def test_memory_is_a_column_where_a_row_has_it() -> None:
    _, *others = table.terminal(FACTS, [replace(OURS, peak_bytes=3 * 2**20), PEER])
    assert others[0].endswith("memory")
    assert others[1].endswith("3.00 MiB")


def test_the_widest_table_fits_a_terminal() -> None:
    row = replace(OURS, case="1024, 1e7", contender="x" * 24, peak_bytes=2**30, seconds=1e-4)
    peer = replace(row, ours=False, contender="y" * 24, seconds=0.1, at_least=300.0)
    assert max(map(len, table.terminal(FACTS, [row, peer]))) <= table.WIDTH


def test_markdown_cells_are_as_many_as_headings() -> None:
    lines = table.markdown(FACTS, ROWS)
    assert all(a.count("|") == b.count("|") for a, b in pairwise(lines))
    assert "**ours**" in lines[2]
    assert "scipy.linalg.turn" in lines[3]


def test_growth_is_the_exponent_between_the_two_largest_sizes() -> None:
    assert table.growth(ROWS) == {"ours": pytest.approx(2), "scipy.linalg.turn": pytest.approx(1)}
    assert table.growth([replace(row, plotted=False) for row in ROWS]) == {}


def test_the_roofline_is_the_larger_of_computing_and_moving() -> None:
    found = roofline(OURS, CEILINGS)  # 0.2 ms of operations, 0.1 ms of bytes
    assert found is not None
    assert found.seconds == pytest.approx(0.0002)
    assert (found.bound, found.share) == ("operations", pytest.approx(0.2))
    moving = roofline(replace(OURS, bytes_moved=5e6), CEILINGS)
    assert moving is not None
    assert (moving.bound, moving.share) == ("bytes", pytest.approx(0.5))


def test_a_row_that_does_not_say_what_it_needs_has_no_roofline() -> None:
    assert roofline(PEER, CEILINGS) is None
    assert "no roofline is stated" in sentence(PEER, CEILINGS)


def test_the_roofline_sentence_names_all_it_was_made_of() -> None:
    assert sentence(OURS, CEILINGS) == (
        "ours, 64: 0.0200 GFLOP in float64 and 0.00100 GB want 200 us here (operations bind); "
        "took 1.00 ms, 20% of the ceiling (20.0 GFLOP/s, 1.00 GB/s)"
    )


def test_a_ratio_has_fallen_below_a_third_and_not_before() -> None:
    slower = replace(OURS, seconds=OURS.seconds * 3.1)
    assert fallen([slower, PEER], ROWS) == ["turn [64] scipy.linalg.turn: ratio 1.29x, was 4.00x"]
    assert fallen([replace(OURS, seconds=OURS.seconds * 2.9), PEER], ROWS) == []


def test_a_slower_machine_changes_no_ratio() -> None:
    assert fallen([replace(row, seconds=row.seconds * 100) for row in ROWS], ROWS) == []


def test_rows_that_were_not_there_are_new() -> None:
    added = replace(PEER, contender="jax")
    assert unknown([OURS, PEER, added], ROWS) == ["turn [64] jax"]


@pytest.mark.parametrize(
    ("value", "text"), [(61.0, "61.0 s"), (0.0412, "41.2 ms"), (3e-5, "30.0 us"), (2e-8, "20.0 ns")]
)
def test_seconds_have_three_digits_and_a_unit(value: float, text: str) -> None:
    assert units.seconds(value) == text
