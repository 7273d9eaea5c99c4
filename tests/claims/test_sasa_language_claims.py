"""SASA-08 and SASA-09 seen to hold where they are true and to fail where they are false."""

import json
from dataclasses import replace
from pathlib import Path

import planted_language
import pytest
import torch
from claim_runs import by_interval, measured
from planted_language import AWAY, NEITHER, TOWARD, change, gpt2, planted, write_suite
from planted_letters import RANK, D, PlantedBudgets, letters, otherwise, with_arms, worse_at_half
from torch import nn
from toy_claim import run_own_claims

import polyrot as pr
from polyrot.errors import NotRun
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.letters.budgets import (
    COLUMNS,
    SUBSPACES,
    Budgets,
    MatchedDictionaries,
)
from polyrot.experiments.letters.controls import shuffled_groups
from polyrot.sae.absorption import Units
from polyrot.sae.activations import GroupTopK
from polyrot.suites.loading import load_suite
from polyrot.suites.suite import Suite
from polyrot.tasks.letters import LETTERS
from polyrot.verdict.bar import Placement
from polyrot.verdict.judge import Part, Verdict
from polyrot.verdict.record import Record


@pytest.fixture
def placed_by_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seeds that agree are too few for the levels of a first look."""
    monkeypatch.setattr("polyrot.verdict.run.place_parts", by_interval)


def parts_of(record: Record) -> dict[str, Part]:
    return {part.name: part for part in record.parts}


@pytest.mark.parametrize("read", [Units.columns, Units.groups])
def test_planted_letters_are_split_and_absorbed_as_they_are_planted(read) -> None:
    own = letters(1)
    found = own.absorption(COLUMNS, read)
    # Of the seven directions of a letter two are its features, and five absorb 2% each.
    assert found["letters"] == D // RANK
    assert found["split features"] == 2
    assert found["absorption fraction"] == pytest.approx(0.1, abs=0.02)
    assert found["full absorption"] == pytest.approx(found["absorption fraction"])
    assert own.ev(COLUMNS) > 0.99
    assert own.ev(SUBSPACES) > 0.99


def test_groups_that_hold_the_letters_neither_split_nor_absorb() -> None:
    found = letters(1).absorption(SUBSPACES, Units.groups)
    assert found["absorption fraction"] == found["full absorption"] == 0
    assert found["split features"] == 1


def test_shuffled_groups_have_the_same_columns_in_another_order() -> None:
    own = letters(1)
    before, after = (world.sae(SUBSPACES) for world in (own, shuffled_groups(own)))
    assert after.activation == before.activation
    assert not torch.equal(after.W_dec, before.W_dec)
    assert torch.equal(after.W_dec.sort(dim=0).values, before.W_dec.sort(dim=0).values)
    assert shuffled_groups(own).sae(COLUMNS) is own.sae(COLUMNS)


@pytest.mark.usefixtures("placed_by_intervals")
def test_planted_letters_are_inside_every_bar() -> None:
    record = measured("SASA-08", "hardened", PlantedBudgets())
    parts = parts_of(record)
    assert {part.placement for part in parts.values()} == {Placement.INSIDE}
    assert parts["absorption"].estimate.details["TopK"] == pytest.approx(0.1, abs=0.02)
    assert parts["splitting"].estimate.value == pytest.approx(1)
    assert parts["EV"].verdict is Verdict.REPLICATED
    for name in ("absorption", "splitting"):
        known = {c.name: c.behaved for c in parts[name].controls}
        assert known.pop("planted letters")
        assert known.pop("planted letters, exchanged")
        # A dictionary that reads letters badly splits and absorbs little: this one tells nothing.
        assert known == {"shuffled groups": False}
        assert parts[name].verdict in (Verdict.VACUOUS, Verdict.INCONCLUSIVE)
    assert {figure.name for figure in record.figures} == {
        "absorption-fraction",
        "split-features",
        "explained-variance",
    }
    assert not record.not_drawn


def test_more_explained_variance_is_no_miss() -> None:
    def weaker_columns(own: MatchedDictionaries) -> MatchedDictionaries:
        columns = own.sae(COLUMNS)
        return with_arms(own, own.sae(SUBSPACES), replace(columns, W_dec=0.7 * columns.W_dec))

    part = parts_of(measured("SASA-08", "hardened", PlantedBudgets(weaker_columns)))["EV"]
    assert part.estimate.low > 0.05
    assert part.verdict is Verdict.REPLICATED


@pytest.mark.usefixtures("placed_by_intervals")
def test_less_splitting_is_refuted_where_single_latents_hold_the_letters() -> None:
    parts = parts_of(measured("SASA-08", "hardened", PlantedBudgets(otherwise)))
    assert parts["absorption"].verdict is Verdict.REFUTED
    assert parts["splitting"].verdict is Verdict.REFUTED


def test_half_the_tokens_suffice_where_they_leave_the_groups_as_they_are() -> None:
    record = measured("SASA-09", "hardened", PlantedBudgets(worse_at_half(COLUMNS)))
    assert record.verdict is Verdict.REPLICATED
    assert not record.not_drawn


def test_where_half_the_tokens_suffice_for_single_columns_the_claim_says_nothing() -> None:
    assert measured("SASA-09", "hardened", PlantedBudgets()).verdict is Verdict.VACUOUS


def test_half_the_tokens_are_refuted_where_the_groups_lose() -> None:
    record = measured("SASA-09", "hardened", PlantedBudgets(worse_at_half(SUBSPACES)))
    assert record.verdict is Verdict.REFUTED


def test_a_suite_without_dictionaries_says_what_is_missing() -> None:
    with pytest.raises(NotRun, match="toy has no group and TopK autoencoders at equal budget"):
        Suite("toy", (1, 2)).get(Budgets)


TABLE = """
[dictionaries]
groups = 2
rank = 4
expansion = 4
steps = 40
batch = 64
learning_rate = 1e-2
nuclear = 0.1
auxiliary = 16
"""


def lettered(seed: int) -> nn.Module:
    """A model of which every word's embedding says with which letter it begins."""
    model = planted(seed)
    directions = 4 * torch.eye(26, planted_language.D)
    for word in (*TOWARD, *AWAY, *NEITHER):
        token = planted_language.tokenizer().token_to_id(f"\u0120{word}")
        model.model.embed_tokens.weight[token] += directions[LETTERS.index(word[0])]
    return model


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [lettered(seed) for seed in range(3)]
    return write_suite(tmp_path_factory.mktemp("models"), models, TABLE, name="mine")


def language(file: Path) -> LanguageSuite:
    suite = load_suite(str(file))
    assert isinstance(suite, LanguageSuite)
    return suite


def test_the_arms_of_a_model_are_of_one_budget(file: Path) -> None:
    suite = language(file)
    budgets = suite.get(Budgets).budgets
    assert list(budgets) == [1, 2, 3]
    own = budgets[2]
    groups, columns = own.sae(SUBSPACES), own.sae(COLUMNS)
    assert (groups.activation, columns.activation) == (GroupTopK(2, 4), pr.TopK(8))
    assert groups.features == columns.features == 4 * suite.d_model
    both = [own.sae(COLUMNS, half=half).metadata for half in (False, True)]
    assert [said["steps"] for said in both] == [40, 20]
    assert {said["seed"] for said in both} == {2}
    assert {said["batch"] for said in both} == {64}
    assert "nuclear" not in columns.metadata
    assert groups.metadata["nuclear"] == 0.1


def test_tokens_that_are_scored_are_not_those_of_the_training(file: Path) -> None:
    suite = language(file)
    own = suite.get(Budgets).budgets[1]
    assert own.x.shape[0] == suite.data.analysis.numel()
    assert torch.equal(own.x, suite.activations.at(suite.middle_site)[0])
    assert set(own.words.probes) <= set(range(26))
    assert len(own.words.probes) >= 8


def test_one_model_has_three_autoencoders_of_an_arm(file: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.toml"
    one.write_text(
        file.read_text()
        .replace("seeds = [1, 2, 3]", "seed = 1")
        .replace("seed{seed}", str(file.parent / "seed1"))
        .replace('"text.txt"', json.dumps(str(file.parent / "text.txt")))
    )
    suite = language(one)
    budgets = suite.get(Budgets).budgets
    assert list(budgets) == [1, 2, 3]
    saes = [own.sae(SUBSPACES) for own in budgets.values()]
    assert [sae.metadata["seed"] for sae in saes] == [1, 2, 3]
    assert not torch.equal(saes[0].W_dec, saes[1].W_dec)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (TABLE, "", "mine has no dictionaries to compare; describe them as \\[dictionaries\\]"),
        ("rank = 4", "rank = 3", "dictionaries: Expected rank to divide 128 features"),
        ("groups = 2", "groups = 99", "dictionaries: Expected 1 <= groups <= 32 groups"),
        ("groups", 'site = "resid_post.9"\ngroups', "dictionaries.site: expected one of resid_"),
    ],
)
def test_dictionaries_that_cannot_be_are_not_run(
    file: Path, old: str, new: str, reason: str
) -> None:
    changed = file.with_name("changed.toml")
    changed.write_text(file.read_text())
    suite = language(change(changed, (old, new)))
    with pytest.raises(NotRun, match=reason):
        _ = suite.get(Budgets).budgets


def test_the_claims_run_through_on_a_suite_file(pytester: pytest.Pytester, file: Path) -> None:
    listed = file.with_name("listed.toml")
    listed.write_text('claims = ["SASA-08", "SASA-09"]\n' + file.read_text())
    run_own_claims(pytester, "--report-dir", "out", "--suite", str(listed))
    report = json.loads((pytester.path / "out/mine/verdict.json").read_text())
    found = {record["id"]: record["verdict"] for record in report["records"]}
    assert found.keys() == {"SASA-08", "SASA-08/published", "SASA-09"}
    assert set(found.values()) <= {"REPLICATED", "REFUTED", "VACUOUS", "INCONCLUSIVE"}
    assert "could not run" not in json.dumps(report)


def test_gpt2_is_read_before_its_block(tmp_path: Path) -> None:
    file = write_suite(tmp_path, [gpt2()], TABLE, 'site = "resid_pre.2"\n', name="gpt")
    change(file, ("seeds = [1]", "seed = 1"), ("seed{seed}", "seed1"))
    suite = language(file)
    own = suite.get(Budgets).budgets[1]
    assert torch.equal(own.x, suite.activations.at("resid_post.1")[0])
