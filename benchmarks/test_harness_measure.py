"""The clock, the groups and the files, without a benchmark of anything."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_harness_table import LARGE, results

from harness import data
from harness.group import Case, Contender, Group, sizes
from harness.measure import Measure, rounds_for
from harness.memory import Peak
from harness.report import committed, write

MIB = 2**20
Call = Callable[[], object]


class Clock:
    """Stands in for pytest-benchmark's fixture: calls, and takes a tenth of a second."""

    def __init__(self) -> None:
        self.extra_info: dict[str, object] = {}
        self.rounds = 0
        self.stats = SimpleNamespace(stats=SimpleNamespace(median=0.1))

    def pedantic(self, call: Call, setup: Call, teardown: Call | None, rounds: int) -> object:
        self.rounds = rounds
        setup()
        return call()


def group(**options: object) -> Group:
    made = Group("turn", "Turns", sizes(4, 8, full=(16,)))
    made.contender("peer", at_least={8: 2.0}, **options)(lambda d: d)
    made.contender("ours", ours=True)(lambda d: d)
    return made


def clock(contender: Contender, benchmark: Clock | None = None) -> Measure:
    return Measure(benchmark or Clock(), group(), Case(8), contender)


def test_entries_put_ours_first_and_full_cases_last() -> None:
    assert [(str(c), k.name) for c, k in group().entries()] == [
        ("4", "ours"),
        ("4", "peer"),
        ("8", "ours"),
        ("8", "peer"),
    ]
    assert len(group().entries(full=True)) == 6
    assert {case.size for case, _ in group().entries(smoke=True)} == {4}


def test_contenders_choose_their_cases() -> None:
    assert len(group(on=lambda case: case.size == 4).entries()) == 3
    assert len(group(full=(8,)).entries()) == 3
    assert len(group(full=(8,)).entries(full=True)) == 6


def test_a_contender_whose_package_is_missing_says_what_to_install() -> None:
    assert group(needs="no_such_module").contenders[0].missing() == (
        'no module no_such_module: pip install "polyrot[bench]", or tox -e bench'
    )


@pytest.mark.parametrize(("seconds", "rounds"), [(1e-6, 40), (0.1, 10), (1.5, 3), (3, 2), (6, 1)])
def test_rounds_follow_from_a_budget(seconds: float, rounds: int) -> None:
    assert rounds_for(seconds, budget=1.0) == rounds


def test_a_row_holds_what_was_measured_by_the_unit() -> None:
    peer = group().contenders[0]
    measure = clock(peer)
    assert measure(lambda: 7, per=10, operations=50.0) == 7
    measure.agrees(1e-9, at_most=1e-8)
    row = measure.row()
    assert (row.seconds, row.operations, row.at_least) == (0.01, 5.0, 2.0)
    assert (row.key, row.error, row.ours) == (("turn", "8", "peer"), 1e-9, False)


def test_a_slow_size_is_called_once() -> None:
    calls: list[int] = []
    benchmark = Clock()
    contender = Contender("slow", lambda: None, slow=(8,))
    clock(contender, benchmark)(lambda: calls.append(1))
    assert (len(calls), benchmark.rounds) == (1, 1)


def test_disagreement_fails_and_names_the_row() -> None:
    measure = clock(group().contenders[0])
    with pytest.raises(AssertionError, match=r"peer on turn \[8\]: largest difference is 0.2"):
        measure.agrees(0.2, at_most=0.1)


def test_nan_agrees_with_nothing() -> None:
    with pytest.raises(AssertionError):
        clock(group().contenders[0]).agrees(float("nan"), at_most=0.1)


def test_a_time_without_agreement_is_no_row() -> None:
    measure = clock(group().contenders[0])
    measure(lambda: 7)
    with pytest.raises(RuntimeError, match="a time counts only beside a result that was checked"):
        measure.row()


def test_peak_memory_is_that_of_the_call() -> None:
    peak = Peak("cpu")
    for count in (64, 8):
        peak.before()
        torch.ones(count * MIB // 4)
        peak.after()
    if peak.bytes is None:
        pytest.skip("this system does not count the peak")
    assert 60 * MIB < peak.bytes < 90 * MIB


def test_files_are_written_and_read_back(tmp_path: Path) -> None:
    names = [path.name for path in write(results(), tmp_path, tmp_path / "none")]
    assert names == ["cpu-turn.svg", "cpu.json", "cpu.md"]
    assert committed(tmp_path, "cpu") == results()
    assert committed(tmp_path, "cuda") is None
    page = (tmp_path / "cpu.md").read_text()
    assert "1 of 2 ratios are what was asked for" in page
    assert "short: ours, 128" in page
    assert "![Turns of a matrix](cpu-turn.svg)" in page
    assert "train 5 seeds of dyck3 |" in page


def test_equal_runs_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(results(), tmp_path / name, tmp_path)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_group_of_one_size_has_no_plot(tmp_path: Path) -> None:
    names = [path.name for path in write(results(LARGE), tmp_path, tmp_path)]
    assert names == ["cpu.json", "cpu.md"]


def test_the_data_are_ill_conditioned_and_off_centre() -> None:
    source, target = data.pair(4_096, 32)
    covariance = torch.cov(source.double().T)
    assert float(torch.linalg.cond(covariance)) > 1e3
    assert float(target.mean(0).abs().max()) > 20


def test_a_cross_covariance_has_the_condition_asked_for() -> None:
    assert float(torch.linalg.cond(data.cross_covariance(16, 1e4))) == pytest.approx(1e4, rel=1e-6)
