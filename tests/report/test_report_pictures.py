"""The pictures of a report: what lies where, and equal text for equal records."""

import math
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_report import FIGURES, pairs_about, record, report

from polyrot.report.files import DRIFTED, write_renderings, write_reports
from polyrot.report.html.axis import Axis, label, round_numbers
from polyrot.report.html.drawing import STAND_IN, drawing, file_text
from polyrot.report.html.page import page
from polyrot.report.html.picture import picture
from polyrot.report.markdown import markdown
from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.claim import Kind, Printed
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.policy import Policy
from polyrot.verdict.record import Record, Report, read_verdict

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 6))
halves = st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 10.0])
bars = st.one_of(
    st.builds(Bar.at_least, numbers, st.just("q")),
    st.builds(Bar.below, numbers, st.just("q")),
    st.tuples(numbers, st.floats(1e-3, 1e3)).map(lambda b: Bar.between(b[0], b[0] + b[1], "q")),
)


def judged(bar: Bar, value: float, half: float, **controls: float) -> Record:
    models = {"all": Estimate(value, value - half, value + half, "seed", 5, "by hand")}
    return record("TOY-02", bar, models, {n: (Kind.NEGATIVE, v) for n, v in controls.items()})


@given(bar=bars, value=numbers, half=halves, control=numbers)
def test_every_row_lies_with_respect_to_the_region_as_it_was_judged(
    bar: Bar, value: float, half: float, control: float
) -> None:
    own = judged(bar, value, half, far=control)
    shown = picture(own, own.parts[0])
    low, high = shown.region
    assert 0 <= low <= high <= 100
    placed = [own.parts[0].placement, *(c.placement for c in own.parts[0].controls)]
    rows = [row for row in shown.rows if row.kind != "published"]
    for row, placement in zip(rows, placed, strict=True):
        assert row.ends is not None
        assert row.value is not None
        assert 0 <= row.ends[0] <= row.value <= row.ends[1] <= 100
        if placement is Placement.INSIDE:
            assert low <= row.ends[0]
            assert row.ends[1] <= high
        if placement is Placement.OUTSIDE:
            assert row.ends[1] <= low or row.ends[0] >= high


@given(value=numbers, half=halves, control=numbers)
def test_what_decides_is_seen(value: float, half: float, control: float) -> None:
    """The models' distance from the bar, or else their interval, is two percent of the axis."""
    own = judged(Bar.at_least(0.5, "q"), value, half, far=control)
    shown = picture(own, own.parts[0])
    models = shown.rows[0]
    assert models.value is not None
    assert models.ends is not None
    if value != 0.5 or half:
        seen = max(abs(models.value - shown.edges[0]), models.ends[1] - models.ends[0])
        assert seen > 2


@given(st.lists(numbers, min_size=2, max_size=8), numbers)
def test_an_axis_keeps_order_and_ticks_apart(values: list[float], centre: float) -> None:
    axis = Axis.over([*values, centre], centre=centre, detail=1e-3)
    places = [axis.at(value) for value in sorted(values)]
    assert places == sorted(places)
    ticks = axis.ticks([centre])
    assert centre in ticks
    assert ticks == sorted(ticks)
    assert (axis.at(-math.inf), axis.at(math.inf)) == (0, 100)


def test_round_numbers_are_round() -> None:
    assert [label(n) for n in round_numbers(0.0, 1.0)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert [label(n) for n in round_numbers(-0.05, 0.021)] == [
        "-0.05", "-0.04", "-0.03", "-0.02", "-0.01", "0", "0.01", "0.02",
    ]  # fmt: skip


def test_the_picture_has_all_that_decides() -> None:
    (first, *_) = report().records
    shown = picture(first, first.parts[0])
    models, printed, lowest_and_highest, negative, positive = shown.rows
    assert [row.kind for row in shown.rows[:3]] == ["models", "published", "published"]
    assert len(models.pairs) == 20
    assert models.again is not None
    assert models.again[0] < models.ends[0] < models.ends[1] < models.again[1]
    assert printed.figures == "mean 0.925"
    assert printed.ends is None
    assert printed.pairs[0] < printed.value < printed.pairs[1]
    assert lowest_and_highest.figures == "0.8 to 0.97"
    assert lowest_and_highest.value is None
    assert lowest_and_highest.ends[0] < printed.pairs[0]
    assert printed.pairs[1] < lowest_and_highest.ends[1]
    assert (negative.said, negative.wrong) == ("must miss, misses", False)
    assert (positive.said, positive.wrong) == ("must meet, meets", False)


def test_published_numbers_stand_beside_the_parts_that_they_are_of() -> None:
    (first, *_) = report().records
    of_another = replace(first, printed_numbers=(Printed((0.9,), "one seed", ("another",)),))
    kinds = [row.kind for row in picture(of_another, first.parts[0]).rows]
    assert kinds == ["models", "negative", "positive"]


def test_a_control_that_misbehaves_is_marked() -> None:
    own = judged(Bar.at_least(0.5, "q"), 0.9, 0.1, fooled=0.9)
    *_, fooled = picture(own, own.parts[0]).rows
    assert (fooled.said, fooled.wrong) == ("must miss, meets", True)


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_drawings_are_equal_and_can_share_a_page(figure: Figure) -> None:
    text = drawing(figure)
    assert text == drawing.__wrapped__(figure)  # drawn again, not kept
    assert not set(STAND_IN.values()) & set(re.findall(r"#0000\d\d", text))
    assert "var(--models)" in text
    assert "mathdefault" not in text
    assert "<style" not in text
    # What is left of names is a hash of what it names.
    assert all(re.fullmatch(r"[mpc][0-9a-f]{10}", id) for id in re.findall(r' id="([^"]*)"', text))
    referred = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)
    assert all(f'id="{a or b}"' in text for a, b in referred)
    assert escape(figure.series[0].label, quote=False) in text


def points(*series: Series, **options) -> Figure:
    return Figure("points", "Points", "", "", "score", Mark.POINTS, series, **options)


def hollow(figure: Figure) -> int:
    return drawing(figure).count("fill-opacity: 0; stroke: var(--models)")


def test_what_has_no_interval_is_hollow() -> None:
    whole = Series("it", Role.MODELS, ("early", "late"), (0.5, 0.6), (0.4, 0.5), (0.6, 0.7))
    half = replace(whole, low=(0.4, -math.inf), high=(0.6, math.inf))
    none = replace(whole, low=(), high=())
    assert [hollow(points(own)) for own in (whole, half, none)] == [0, 1, 2 + 1]  # and the legend
    assert hollow(points(replace(none, x=(0.1, 0.2)), diagonal=True)) == 0


@pytest.mark.parametrize("mark", [Mark.POINTS, Mark.LINES])
def test_the_diagonal_is_a_line(mark: Mark) -> None:
    own = points(Series("it", Role.MODELS, (0.1, 0.2), (0.5, 0.6)), bar=(0.1,))
    lines = [
        drawing(replace(own, mark=mark, diagonal=diagonal)).count("stroke: var(--faint)")
        for diagonal in (False, True)
    ]
    assert lines[1] == lines[0] + 1


def test_the_bar_is_a_line_across() -> None:
    own = Series("it", Role.MODELS, ("early", "late"), (0.5, 0.6))
    dashed = "stroke-dasharray: 6,3"
    assert [drawing(points(own, bar=bar)).count(dashed) for bar in ((), (0.1,), (0.1, 0.9))] == [
        0,
        1,
        2,
    ]


def test_an_axis_of_p_values_is_logarithmic_and_an_interval_from_0_reaches_its_end() -> None:
    own = Series("it", Role.MODELS, ("early", "late"), (0.002, 1.0), (0.0, 1.0), (0.003, 1.0))
    assert [">0.01<" in drawing(points(own, log_y=log)) for log in (False, True)] == [False, True]


def test_an_axis_of_epochs_is_logarithmic() -> None:
    own = Series("it", Role.MODELS, (10.0, 1_000.0), (0.5, 0.6))
    shown = [drawing(points(own, log_x=log)) for log in (False, True)]
    assert [">100<" in text for text in shown] == [False, True]


def test_the_page_joins_a_detail_with_its_interval() -> None:
    details = {"mean EV": 0.5, "mean EV, low": 0.4, "mean EV, high": 0.6, "note": "of 2, low"}
    models = {"all": Estimate(1.0, 0.9, 1.1, "seed", 5, "by hand", details)}
    own = replace(report(), records=(record("TOY-02", Bar.at_least(0.5, "q"), models, {}),))
    assert "- all: mean EV 0.5 [0.4, 0.6], note of 2, low" in markdown(own)
    shown = page(own)
    assert "<span>mean EV 0.5 [0.4, 0.6];</span>" in shown
    assert "mean EV, low" not in shown


def test_a_figure_as_a_file_is_whole_and_knows_the_dark() -> None:
    root = ElementTree.fromstring(file_text(FIGURES[0]))  # noqa: S314 - made here
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert [child.tag.partition("}")[2] for child in root][:2] == ["title", "style"]
    assert "prefers-color-scheme:dark" in root[1].text


def test_a_record_with_figures_survives_the_file(tmp_path: Path) -> None:
    own = report()
    path = tmp_path / "verdict.json"
    path.write_text(own.to_json())
    back = read_verdict(path)
    assert back.to_json() == own.to_json()
    assert back.records[0].figures == FIGURES


@pytest.mark.seconds
def test_pages_of_equal_records_differ_in_the_timing_block_alone() -> None:
    first = report()
    later = replace(first, timing={"finished": "2027-01-01T00:00:00Z", "seconds": {"TOY-01": 9.0}})
    one, other = page(first), page(later)
    assert one == page(report())
    assert one != other
    block = re.compile(r'<p id="timing">.*?</p>', re.DOTALL)
    assert block.sub("", one) == block.sub("", other)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.seconds
def test_the_files_of_a_run_and_of_one_that_drifted(tmp_path: Path) -> None:
    own = report()
    written = write_reports([own], tmp_path, keep=[], policy=Policy(), may_shrink=True)
    figures = {f"figures/TOY-01-{figure.name}.svg" for figure in FIGURES}
    whole = {"verdict.json", "verdict.md", "index.html", *figures}
    folder = tmp_path / "toy"
    assert files(folder) == whole
    assert {path.name for path in written.files} == {"verdict.json", "verdict.md", "index.html"}
    policy = Policy.from_files((folder / "verdict.json",), strict=False, required=())
    drifted = replace(own, records=(judged(Bar.at_least(2.0, "q"), 0.9, 0.1), *own.records[2:]))
    (folder / "figures" / "TOY-01-old.svg").touch()
    (folder / "figures" / "mine.svg").touch()
    write_reports(
        [drifted],
        tmp_path,
        keep=[(folder / "verdict.json").resolve()],
        policy=policy,
        may_shrink=True,
    )
    beside = {f"{DRIFTED}.json", f"{DRIFTED}.md", f"{DRIFTED}.html"}
    theirs = {"figures/mine.svg"}
    assert files(folder) == whole | beside | theirs | {"figures/TOY-01-old.svg"}
    write_reports([own], tmp_path, keep=[], policy=Policy(), may_shrink=True)
    assert files(folder) == whole | theirs


@pytest.mark.seconds
def test_renderings_are_those_of_the_run(tmp_path: Path) -> None:
    write_reports([report()], tmp_path, keep=[], policy=Policy(), may_shrink=True)
    folder = tmp_path / "toy"
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    write_renderings(read_verdict(folder / "verdict.json"), folder / "verdict.json")
    assert before == {name: (folder / name).read_bytes() for name in files(folder)}


def test_pairs_are_kept_of_the_models_alone() -> None:
    own = record(
        "TOY-02",
        Bar.at_least(0.5, "q"),
        {"all": pairs_about(0.9)},
        {"x": (Kind.NEGATIVE, 0.1)},
    )
    assert len(own.parts[0].estimate.pairs) == 20
    assert own.parts[0].estimate.pairs["0 to 1"] == pytest.approx(0.88)
    assert own.parts[0].controls[0].estimate.pairs == {}


@pytest.mark.seconds
def test_a_card_says_what_measures_it_anew() -> None:
    own = report()
    assert "<code>pytest claims/ --suite toy -k TOY-01 --report-dir again</code>" in page(own)
    named = replace(own, provenance={"suite": "my models.toml"})
    assert "--suite &#39;my models.toml&#39; -k TOY-01 --report-dir again</code>" in page(named)


@pytest.mark.seconds
def test_names_in_a_page_are_unique() -> None:
    ids = re.findall(r' id="([^"]*)"', page(report()))
    assert len(ids) == len(set(ids))


def test_an_empty_report_is_a_page() -> None:
    assert "Verdicts on" in page(Report("toy", ()))
