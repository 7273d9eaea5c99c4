"""CORE-11 and CORE-12 seen to hold where they are true and to fail where they are false."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from claim_runs import claim_module, measured
from planted_agreement import PROMPTS, SIZES, PlantedReaders, of_world, one_axis, write_gpt2
from toy_claim import run_own_claims

from polyrot import load_suite
from polyrot.experiments.agreement import axes, controls, studies
from polyrot.experiments.agreement.controls import LinearReader, planted_axis
from polyrot.experiments.agreement.studies import Readers
from polyrot.stats.estimate import Estimate
from polyrot.suites.registry import world_name
from polyrot.tasks.agreement import Prompts, draw_distinct_prompts, draw_prompts
from polyrot.verdict.judge import Part, Verdict


def control(part: Part, name: str) -> Estimate:
    (found,) = (control.estimate for control in part.controls if control.name == name)
    return found


@pytest.mark.parametrize("which", ["hardened", "published"])
def test_agreement_is_one_axis_where_it_is_planted(which: str) -> None:
    record = measured("CORE-11", which, PlantedReaders(one_axis))
    assert all(part.estimate.value == pytest.approx(0.55, abs=0.03) for part in record.parts[1::3])
    assert [part.name for part in record.parts] == [
        f"{size}, {name}" for size in SIZES for name in ("keep", "remove", "flip")
    ]
    for part in record.parts:
        assert {c.name for c in part.controls} == {
            "random axis",
            "axis of the past",
            "planted axis",
        }
        assert part.estimate.unit == "seed"


def test_with_many_prompts_the_removal_of_a_planted_axis_can_be_seen_in_64_dimensions() -> None:
    def wide(seed: int, prompts: Prompts) -> LinearReader:
        return planted_axis(prompts.plural, d_model=64, seed=seed)

    readers = PlantedReaders(wide, {"wide": (1, 2)})
    assert len(readers.many_prompts.texts) == 2 * 60 * 64
    study = readers.study(1, many=True)
    phi = 0.5 * (1 + math.erf(1.18 / 60**0.5 / 2**0.5))
    assert study.on_core(0)["remove"] == pytest.approx(phi, abs=0.03)
    published = readers.study(1)
    assert published.on_core(0) == {"base": published.test.base} | published.test.at(0)
    assert published.on_core(0)["remove"] > 0.6


def test_layers_are_compared_on_as_many_prompts_as_were_published() -> None:
    study = PlantedReaders(one_axis).study(1, many=True)
    assert len(study.prompts.texts) == 1_440
    few = axes.study(study.reader, study.prompts)
    first = axes._first(study.prompts.training)
    assert first.sum() == axes.FEW
    assert few.training == study.training
    rows = study.reader.edited_margins(
        [(0, axes._edits(study.cores[0], axes._means(study.states, study.prompts)[0])[1])],
        torch.from_numpy(first),
    )
    area = axes._area(rows[0] / axes._scale(study.margins), study.prompts.plural[first])
    assert study.training.by_layer["remove"][0] == area


@pytest.mark.parametrize("which", ["hardened", "published"])
def test_two_axes_are_refuted_in_every_part(which: str) -> None:
    record = measured("CORE-11", which, PlantedReaders(of_world("verb-two-axes", 4)))
    assert {part.verdict for part in record.parts} == {Verdict.REFUTED}, record.reason


def test_areas_are_drawn_by_depth_for_every_size() -> None:
    record = measured("CORE-11", "hardened", PlantedReaders(one_axis))
    assert record.not_drawn == ""
    assert [figure.name for figure in record.figures] == ["depth-small", "depth-large"]
    for figure in record.figures:
        assert [series.label for series in figure.series] == ["keep", "remove", "flip"]
        for series in figure.series:
            assert series.x == (0.0, 1.0)
            assert all(series.has_interval)
    details = record.parts[0].estimate.details
    assert details["seed 1, block"] in (0, 1)
    assert 0.9 < details["seed 1, base"] <= 1


def test_beside_the_average_of_random_axes_stands_the_one_nearest_to_the_bar() -> None:
    keep, remove, _ = measured("CORE-11", "hardened", PlantedReaders(one_axis)).parts[:3]
    for part, name, nearer in ((keep, "keep", 1), (remove, "remove", -1)):
        details = control(part, "random axis").details
        nearest = details[f"seed 2, {name}, of 4 random axes the nearest to the bar"]
        assert nearer * (nearest - details[f"seed 2, {name}"]) > 0
    (part,) = measured("CORE-12", "published", PlantedReaders(of_world("verb-shared"))).parts
    random = control(part, "random axis")
    assert random.value < random.details["largest of several axes"] < 1


def test_a_single_model_of_each_size_makes_models_the_units() -> None:
    record = measured(
        "CORE-11", "hardened", PlantedReaders(one_axis, {"small": (1,), "large": (4,)})
    )
    assert record.verdict is Verdict.INCONCLUSIVE  # one seed a part has no interval


def test_a_shared_coordinate_is_found() -> None:
    record = measured("CORE-12", "hardened", PlantedReaders(of_world("verb-shared")))
    assert record.verdict is Verdict.REPLICATED, record.reason
    assert [part.name for part in record.parts] == [
        "small and large, singular",
        "small and large, plural",
    ]
    for part in record.parts:
        assert part.estimate.value > 0.9
        assert len(part.estimate.pairs) == 25


def test_coordinates_that_go_apart_are_refuted() -> None:
    record = measured("CORE-12", "hardened", PlantedReaders(of_world("verb-apart")))
    assert record.verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("id", "world", "verdict"),
    [
        ("CORE-11", "verb-two-axes", Verdict.REFUTED),
        ("CORE-12", "verb-shared", Verdict.REPLICATED),
        ("CORE-12", "verb-one-axis", Verdict.REFUTED),
        ("CORE-12", "verb-apart", Verdict.REFUTED),
    ],
)
def test_worlds_before_a_verb_are_as_claims_say(id: str, world: str, verdict: Verdict) -> None:
    record = measured(id, "hardened", load_suite(world_name(world)))
    assert record.verdict is verdict, record.reason


def test_a_draw_of_a_world_is_itself_and_no_other() -> None:
    one, same, other = (
        load_suite(world_name("verb-shared", draw)).get(Readers).reader(7, PROMPTS).states
        for draw in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_the_label_alone_meets_the_published_bar_and_not_the_hardened_one() -> None:
    readers = PlantedReaders(of_world("verb-label-alone"))
    published = measured("CORE-12", "published", readers)
    assert published.verdict is Verdict.VACUOUS
    assert "the number alone in common" in published.reason
    hardened = measured("CORE-12", "hardened", readers)
    assert {part.verdict for part in hardened.parts} == {Verdict.REFUTED}


def test_prompts_exchanged_within_a_number_keep_the_number_alone() -> None:
    readers = PlantedReaders(of_world("verb-shared"))
    one, other = readers.study(1), readers.study(6)
    ((_, moved),) = controls.label_alone(one, other, (1, 6))
    kept = controls.along_the_core(other)
    plural = torch.from_numpy(other.prompts.plural)
    assert not torch.equal(moved, kept)
    for label in (plural, ~plural):
        assert torch.equal(moved[label].sort().values, kept[label].sort().values)


def test_nothing_is_claimed_of_what_is_not_there() -> None:
    for id in ("CORE-11", "CORE-12"):
        claim = claim_module(id).CLAIM
        assert claim.id == id
        assert "2602.22600" in claim.source
    assert replace(claim_module("CORE-11").HARDENED, published=True).id == "CORE-11/published"


def test_a_suite_of_gpt2_models_runs_through(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "draw_prompts", lambda: draw_prompts(100))
    monkeypatch.setattr(studies, "draw_distinct_prompts", lambda _: draw_distinct_prompts(140))
    file = write_gpt2(tmp_path)
    run_own_claims(pytester, "--report-dir", "out", "-k", "CORE", "--suite", str(file))
    report = json.loads((pytester.path / "out/tiny/verdict.json").read_text())
    records = {record["id"]: record for record in report["records"]}
    assert set(records) == {
        f"{id}{which}" for id in ("CORE-11", "CORE-12") for which in ("", "/published")
    }
    for record in records.values():
        assert record["verdict"] not in ("NOT RUN", "ERROR"), record["reason"]
        assert record["not_drawn"] == ""
    parts = [part["name"] for part in records["CORE-11"]["parts"]]
    assert parts == ["keep", "remove", "flip"]
    assert records["CORE-11"]["parts"][0]["estimate"]["n"] == 3
    (part,) = records["CORE-12/published"]["parts"]
    assert part["name"] == "all sizes"
    parts = [part["name"] for part in records["CORE-12"]["parts"]]
    assert parts == ["all sizes, singular", "all sizes, plural"]
    assert {figure["name"] for figure in records["CORE-11"]["figures"]} == {
        "depth-small",
        "depth-medium",
        "depth-width 48",
    }
