"""The progress line: quiet at first, one line on a terminal, a log elsewhere."""

import io

import pytest

from polyrot import progress as module
from polyrot.progress import ProgressLine, duration, in_turn, within


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_three_quiet_seconds_then_one_line_with_the_time_left(clock: list[float]) -> None:
    out = Terminal()
    progress = ProgressLine(stream=out)
    progress(0.0, "models")
    clock[0] = 2.9
    progress(0.1, "models")
    assert out.getvalue() == ""
    clock[0] = 10.0
    progress(0.25, "shuffled tokens")
    assert out.getvalue() == "\r 25%, about 30 s left: shuffled tokens\x1b[K"
    progress.clear()
    assert out.getvalue().endswith("\r\x1b[K")


def test_what_an_earlier_run_did_does_not_shorten_the_time_left(clock: list[float]) -> None:
    out = Terminal()
    progress = ProgressLine(stream=out)
    progress(0.5, "resumed")
    clock[0] = 10.0
    progress(0.75, "a step")
    assert out.getvalue() == "\r 75%, about 10 s left: a step\x1b[K"


def test_a_log_gets_a_line_now_and_then_and_no_escapes(clock: list[float]) -> None:
    out = io.StringIO()
    progress = ProgressLine(stream=out)
    for second in range(4, 40):
        clock[0] = float(second)
        progress(second / 40, f"step {second}")
    progress.clear()
    lines = out.getvalue().split("\n")[1:]
    assert [line.split(": ")[1] for line in lines] == ["step 4", "step 19", "step 34"]
    assert "\x1b" not in out.getvalue()


def test_long_lines_are_cut_and_a_muted_line_is_silent(clock: list[float]) -> None:
    out = Terminal()
    loud, muted = ProgressLine(stream=out), ProgressLine(None, stream=out)
    clock[0] = 5.0
    muted(0.5, "nothing")
    assert out.getvalue() == ""
    loud(0.0, "x" * 200)
    assert len(out.getvalue()) == len("\r") + 79 + len("\x1b[K")


def test_a_part_is_a_share_of_the_whole_and_says_its_name() -> None:
    said: list[tuple[float, str]] = []
    part = within(lambda *own: said.append(own), 0.5, 0.9, "fit")
    part(0, "")
    within(part, what="seed 1")(0.5, "step 1 of 2")
    part(1, "done")
    assert said == [
        (0.5, "fit"),
        (pytest.approx(0.7), "fit, seed 1, step 1 of 2"),
        (0.9, "fit, done"),
    ]


def test_parts_in_turn_take_their_size_and_end_where_the_next_begins() -> None:
    shares: list[float] = []
    for part in in_turn(lambda share, what: shares.append(share), (1, 0, 3)):
        part(0, "")
        part(1, "")
    assert shares == [0, 0.25, 0.25, 0.25, 0.25, 1]


@pytest.mark.parametrize(("seconds", "text"), [(40.2, "40 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_for_readers(seconds: float, text: str) -> None:
    assert duration(seconds) == text
