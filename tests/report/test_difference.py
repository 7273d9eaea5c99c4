"""Every way in which a verdict can drift, and how the difference is explained."""

from dataclasses import replace
from pathlib import Path

import pytest
from judged import judged
from toy_records import BAR, estimate, of, toy

from polyrot.report.columns import LARGEST
from polyrot.report.difference import compare
from polyrot.report.explanation import explanation
from polyrot.verdict.bar import Bar
from polyrot.verdict.calibration import Cell, Characteristic
from polyrot.verdict.claim import Kind
from polyrot.verdict.judge import Verdict, roll_up, worst_part
from polyrot.verdict.record import METRICS, Record, Report, read_verdict

REPORTS = Path(__file__).parents[2] / "reports"
SUITES = ("dyck3", "dyck3-independent")


def lines(old: Report, new: Report, *, verbose: bool = False) -> list[str]:
    found = list(explanation(compare(old, new), verbose=verbose))
    assert all(len(line) <= LARGEST for line in found)
    return found


def explained(old: Record, new: Record) -> list[str]:
    """What is said of one drifted claim, without the frame that every comparison has."""
    assert old.verdict is not new.verdict
    found = lines(of(old), of(new))
    assert found[0] == "toy: 1 of 1 verdicts differ"
    return found[2 : found.index("", 2)]


def test_equal_reports_need_one_line() -> None:
    for suite in SUITES:
        report = read_verdict(REPORTS / suite / "verdict.json")
        count = len(report.records)
        assert lines(report, report) == [f"{suite}: all {count} verdicts are equal"]


def test_an_estimate_that_moved_is_shown_against_the_bar() -> None:
    assert explained(toy(early=0.9, late=0.8), toy(early=0.9, late=0.2)) == [
        "TOY-01            REPLICATED -> REFUTED",
        "  bar: score >= 0.5",
        "  late            REPLICATED -> REFUTED",
        "    the estimate was inside the bar, is outside the bar",
        "      0.8 [0.7, 0.9] -> 0.2 [0.1, 0.3]",
    ]


def test_a_control_that_changed_its_behaviour_is_named() -> None:
    assert explained(toy(noise=0.1), toy(noise=0.8)) == [
        "TOY-01            REPLICATED -> VACUOUS",
        "  bar: score >= 0.5",
        "  all             REPLICATED -> VACUOUS",
        "    the estimate is unchanged, inside the bar",
        "      0.9 [0.8, 1]",
        '    negative control "noise" missed the bar, meets it now',
        "      0.1 [0, 0.2] -> 0.8 [0.7, 0.9]",
    ]


def test_a_control_of_one_run_only_is_named() -> None:
    new = toy(noise=0.8)
    (part,) = new.parts
    without = judged("all", BAR, part.estimate, [("rotated", Kind.POSITIVE, estimate(1.0))])
    old = replace(new, parts=(without,), verdict=without.verdict, reason=without.reason)
    added = '    negative control "noise" is new; it meets the bar: 0.8 [0.7, 0.9]'
    gone = '    negative control "noise" is gone; it met the bar: 0.8 [0.7, 0.9]'
    assert explained(old, new)[-1] == added
    assert explained(new, old)[-1] == gone


def test_another_bar_or_quantity_is_said_before_figures_that_it_makes_incomparable() -> None:
    stricter = toy(bar=Bar.at_least(0.8, "score"), all=0.6)
    assert explained(toy(all=0.6), stricter)[:3] == [
        "TOY-01            REPLICATED -> REFUTED",
        "  the bar was >= 0.5, it is >= 0.8",
        "  all             REPLICATED -> REFUTED",
    ]
    other = toy(bar=Bar.at_least(0.5, "held-out score"), all=0.1)
    assert explained(toy(), other)[1:3] == [
        "  the measured quantity was: score",
        "  it is: held-out score",
    ]


def test_another_bar_is_said_even_where_the_verdict_is_equal() -> None:
    found = lines(of(toy()), of(toy(bar=Bar.at_least(0.4, "score"))))
    assert found == [
        "toy: all 1 verdicts are equal",
        "",
        "TOY-01            REPLICATED as before",
        "  the bar was >= 0.5, it is >= 0.4",
    ]


def test_parts_of_one_run_only_are_named() -> None:
    few, many = toy(early=0.9), toy(early=0.9, late=0.2)
    assert explained(few, many)[-1] == "  late is new: REFUTED, 0.2 [0.1, 0.3], outside the bar"
    assert explained(many, few)[-1] == "  late is gone: REFUTED, 0.2 [0.1, 0.3], outside the bar"


def test_the_part_that_decides_comes_first() -> None:
    old = toy(early=0.9, middle=0.9, late=0.9)
    found = explained(old, toy(early=0.5, middle=0.9, late=0.1))
    assert [line.split()[0] for line in found if "REPLICATED ->" in line] == [
        "TOY-01",
        "late",
        "early",
    ]


def test_a_part_that_decides_though_it_is_as_it_was_is_shown() -> None:
    found = explained(toy(early=0.5, late=0.1), toy(early=0.5, late=0.9))
    assert found[0] == "TOY-01            REFUTED -> INCONCLUSIVE"
    assert found[2] == "  early           INCONCLUSIVE as before"
    assert found[5] == "  late            REFUTED -> REPLICATED"


def test_a_bar_that_was_calibrated_anew_is_counted_world_by_world() -> None:
    def known(met: int) -> Characteristic:
        return Characteristic((Cell("haar", 20, 20),), (Cell("linear", met, 20),))

    assert explained(toy(known=known(0)), toy(known=known(15))) == [
        "TOY-01            REPLICATED -> INCONCLUSIVE",
        "  bar: score >= 0.5",
        "  bar met in the world linear (false there): 0/20 -> 15/20",
        "  all             REPLICATED -> INCONCLUSIVE",
        "    the estimate is unchanged, inside the bar",
        "      0.9 [0.8, 1]",
        "    was: inside the bar; every control behaved",
        "    is: inside the bar (>= 0.5), but it is met in 15 of 20 draws of the world",
        "      linear, where the claim is false: no power of 0.8 is shown",
    ]
    found = explained(toy(), toy(known=known(15)))
    assert "  bar met in the world linear (false there): not drawn -> 15/20" in found


def test_a_proxy_is_explained_by_the_reasons() -> None:
    found = explained(toy(), toy(proxy="too few seeds"))
    assert found[-2:] == [
        "    was: inside the bar; every control behaved",
        "    is: measured by proxy: too few seeds",
    ]


@pytest.mark.parametrize("verdict", [Verdict.NOT_RUN, Verdict.ERROR])
def test_what_has_no_figures_gives_its_reason(verdict: Verdict) -> None:
    bare = replace(toy(), verdict=verdict, reason="no weights", parts=())
    assert explained(toy(), bare) == [
        f"TOY-01            REPLICATED -> {verdict}",
        "  was REPLICATED: inside the bar; every control behaved",
        f"  is {verdict}: no weights",
    ]


def test_claims_of_one_report_only_differ() -> None:
    old, new = of(toy(), toy(id="TOY-02")), of(toy(), toy(id="TOY-03", all=0.1))
    found = lines(old, new)
    assert found[:7] == [
        "toy: 2 of 3 verdicts differ",
        "",
        "TOY-03            not measured -> REFUTED",
        "  only the new report has it; REFUTED: the interval lies outside the bar (>=",
        "    0.5)",
        "",
        "TOY-02            REPLICATED -> not measured",
    ]
    assert found[-1] == "1 verdict is equal."


def circumstances(*, metrics: int = METRICS, **new: object) -> list[str]:
    old = {
        "commit": "86631ac043ff83917b043ea6036d1ad9dd7f976b",
        "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
        "machine": {"system": "Linux x86_64", "processor": "one", "cores": 2},
        "seeds": [0, 1],
        "models": {"1": ["a"], "3": ["c"]},
        "controls": {"1": ["a"]},
        "artifacts": {f"seed{seed}.safetensors": f"{seed:064x}" for seed in range(6)},
    }
    after = replace(of(toy(all=0.1), **{**old, **new}), metrics=metrics)
    found = lines(of(toy(), **old), after)
    return found[found.index("", 2) + 1 :]


def test_runs_that_agree_in_all_that_is_recorded_say_so() -> None:
    assert circumstances() == [
        "The runs agree in everything recorded: commit, versions, machine, seeds, files,",
        "metric definitions.",
    ]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"commit": "95ecc0c" + "0" * 33}, "  commit  86631ac043ff -> 95ecc0c00000"),
        (
            {"commit": "86631ac043ff83917b043ea6036d1ad9dd7f976b with local changes"},
            "  commit  86631ac043ff -> 86631ac043ff with local changes",
        ),
        ({"versions": {"torch": "2.14.0", "numpy": "2.4.6"}}, "  torch  2.13.0 -> 2.14.0"),
        ({"versions": {"torch": "2.13.0"}}, "  numpy  2.4.6 -> not recorded"),
        (
            {"machine": {"system": "Linux x86_64", "processor": "two", "cores": 2}},
            "  processor  one -> two",
        ),
        ({"seeds": [0, 7]}, "  seeds  0, 1 -> 0, 7"),
        ({"artifacts": {}}, "  artifacts  6 of 6 differ: seed0.safetensors, seed1.safetensors,"),
        ({"models": {"1": ["a"], "3": ["f"]}}, "  models  1 of 2 differ: seed 3"),
        ({"controls": {"1": ["b"]}}, "  controls  1 of 1 differ: seed 1"),
        ({"metrics": 0}, f"  metric definitions  version {METRICS} -> version 0"),
        ({"tokens": {"text": "0"}}, "  tokens  not recorded -> 1 recorded"),
    ],
)
def test_each_circumstance_that_differs_is_named(what: dict, said: str) -> None:
    found = circumstances(**what)
    assert found[:2] == ["What else differs between the runs", said]


def test_a_changed_file_is_named() -> None:
    files = {f"seed{seed}.safetensors": f"{seed:064x}" for seed in range(6)}
    files["seed3.safetensors"] = "f" * 64
    assert circumstances(artifacts=files)[1] == "  artifacts  1 of 6 differ: seed3.safetensors"


def test_the_same_commit_with_local_changes_is_no_proof_of_the_same_source() -> None:
    commit = {"commit": "86631ac with local changes"}
    found = lines(of(toy(), **commit), of(toy(all=0.1), **commit))
    assert found[-2:] == [
        "  commit  86631ac with local changes, in both: they may differ in what is not",
        "          recorded",
    ]


def test_figures_that_moved_with_equal_verdicts_are_counted_and_listed_when_asked() -> None:
    old = of(toy(), toy(id="TOY-02"), toy(id="TOY-03"))
    new = of(toy(), toy(id="TOY-02", all=0.91), toy(id="TOY-03", all=1.5))
    assert lines(old, new) == [
        "toy: all 3 verdicts are equal",
        "",
        "Figures moved in 2 with equal verdicts. In 1, intervals do not overlap, or a",
        "part is new, gone or has another verdict (-v shows where).",
    ]
    assert lines(old, new, verbose=True)[-6:] == [
        "",
        "TOY-03            REPLICATED as before",
        "  bar: score >= 0.5",
        "  all             REPLICATED as before",
        "    the estimate moved but stayed inside the bar",
        "      0.9 [0.8, 1] -> 1.5 [1.4, 1.6]",
    ]


def test_a_part_that_drifts_behind_a_worse_one_is_listed_when_asked() -> None:
    old, new = of(toy(early=0.1, late=0.9)), of(toy(early=0.1, late=0.5))
    assert "(-v shows where)" in " ".join(lines(old, new))
    assert "  late            REPLICATED -> INCONCLUSIVE" in lines(old, new, verbose=True)


def test_numbers_that_differ_by_less_than_is_shown_did_not_move() -> None:
    assert lines(of(toy(all=0.9)), of(toy(all=0.9 + 1e-9))) == ["toy: all 1 verdicts are equal"]


@pytest.mark.parametrize("suite", SUITES)
def test_every_committed_record_is_explained_whatever_it_drifts_to(suite: str) -> None:
    report = read_verdict(REPORTS / suite / "verdict.json")
    drifted = []
    for record in report.records:
        parts = tuple(
            judged(
                part.name,
                BAR,
                estimate(100 + part.estimate.value),
                [(c.name, c.kind, estimate(-100)) for c in part.controls],
            )
            for part in record.parts
        )
        verdict, reason = roll_up(parts) if parts else (Verdict.ERROR, "OSError: gone")
        drifted.append(replace(record, parts=parts, verdict=verdict, reason=reason))
    found = lines(report, replace(report, records=tuple(drifted)))
    for old, new in zip(report.records, drifted, strict=True):
        assert old.verdict is new.verdict or f"{old.id:<17} {old.verdict} -> {new.verdict}" in found
        if old.verdict is not new.verdict and old.parts:
            assert any(worst_part(new.parts).name in line for line in found)
