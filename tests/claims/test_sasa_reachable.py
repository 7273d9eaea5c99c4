"""Every measurement of SASA-01 to SASA-09 can be REPLICATED, and every part of it REFUTED."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import pytest
import torch
from claim_runs import claim_module, measured
from planted_letters import (
    PlantedBudgets,
    groups_hold_the_letters,
    latents_hold_the_letters,
    otherwise,
    worse_at_half,
)
from torch import Tensor

from polyrot.experiments.letters.budgets import COLUMNS, SUBSPACES
from polyrot.experiments.planted import controls
from polyrot.experiments.planted.plan import SUBSPACES as SHIPPED
from polyrot.experiments.planted.plan import TOO_SMALL
from polyrot.experiments.planted.suite import Dictionary
from polyrot.experiments.planted.worlds import DictionaryWorld
from polyrot.suites.loading import load_suite
from polyrot.suites.suite import Suite
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record


@dataclass(frozen=True, eq=False)
class OfKnownRows(Dictionary):
    """A dictionary of which only the active decoder rows are known."""

    rows: Callable[[Dictionary], Tensor] = lambda _: torch.zeros(0)

    @property
    def active_rows(self) -> Tensor:  # type: ignore[override]
        return self.rows(self)


class OfMoreSeeds(DictionaryWorld):
    """Equal values decide as a sign test does: trained ones are too few."""

    def __init__(self, world: str) -> None:
        super().__init__(world)
        self._plan = {
            name: replace(experiment, seeds=tuple(range(16)))
            for name, experiment in self._plan.items()
        }


class KnownRows(OfMoreSeeds):
    """Dictionaries with other rows."""

    def __init__(self, rows: Callable[[Dictionary], Tensor]) -> None:
        super().__init__("dictionary-groups")
        self._rows = rows

    def dictionaries(self, *which: str, polished: bool = False) -> list[Dictionary]:
        found = super().dictionaries(*which, polished=polished)
        return [OfKnownRows(one.sae, one.features, one.seed, rows=self._rows) for one in found]


def on_spheres(dictionary: Dictionary) -> Tensor:
    features = range(len(dictionary.features.bases))
    return torch.cat([controls.on_the_sphere(dictionary, i, 150, salt=1) for i in features]).float()


def elsewhere(dictionary: Dictionary) -> Tensor:
    """Rows that are orthogonal to every feature of one dimension, and too few for the others."""
    return torch.randn(2, dictionary.sae.d_model, generator=torch.Generator().manual_seed(0))


class NotTheMinimum(DictionaryWorld):
    """Tokens are not of the features that are said to be planted, so that runs end lower."""

    def dictionaries(self, *which: str, polished: bool = False) -> list[Dictionary]:
        if polished:
            return DictionaryWorld("dictionary-groups").dictionaries(*which, polished=True)
        return super().dictionaries(*which)


class RanksTooSmallAsTrained(DictionaryWorld):
    """The planted solution, except that groups of too small a rank are the shipped ones."""

    def dictionaries(self, *which: str, polished: bool = False) -> list[Dictionary]:
        if which[1] == TOO_SMALL:
            return load_suite(SHIPPED).dictionaries(*which, polished=polished)
        return super().dictionaries(*which, polished=polished)


def world(name: str) -> Callable[[], Suite]:
    return partial(load_suite, f"world:{name}")


HARDENED, PUBLISHED = "hardened", "published"
GROUPS, SPLIT = world("dictionary-groups"), world("dictionary-split")
WHOLE = partial(OfMoreSeeds, "dictionary-groups")
MERGED = partial(OfMoreSeeds, "dictionary-merged")
ELSEWHERE = world("dictionary-elsewhere")
REACHED: dict[tuple[str, str], tuple[Callable[[], Suite], Callable[[], Suite]]] = {
    ("SASA-01", PUBLISHED): (partial(KnownRows, on_spheres), partial(KnownRows, elsewhere)),
    ("SASA-01", HARDENED): (world("points-sphere"), world("points-axes")),
    ("SASA-02", HARDENED): (world("points-sphere"), world("points-axes")),
    ("SASA-03", HARDENED): (
        partial(RanksTooSmallAsTrained, "dictionary-groups"),
        partial(NotTheMinimum, "dictionary-elsewhere"),
    ),
    ("SASA-04", HARDENED): (GROUPS, ELSEWHERE),
    ("SASA-05", HARDENED): (world("samples-power"), world("samples-exponential")),
    ("SASA-06", HARDENED): (GROUPS, SPLIT),
    ("SASA-06", PUBLISHED): (GROUPS, SPLIT),
    ("SASA-07", HARDENED): (WHOLE, MERGED),
    ("SASA-07", PUBLISHED): (WHOLE, MERGED),
    ("SASA-08", HARDENED): (
        partial(PlantedBudgets, groups_hold_the_letters, 12),
        partial(PlantedBudgets, otherwise, 12),
    ),
    ("SASA-08", PUBLISHED): (
        partial(PlantedBudgets, latents_hold_the_letters, 12),
        partial(PlantedBudgets, otherwise, 12),
    ),
    ("SASA-09", HARDENED): (
        partial(PlantedBudgets, worse_at_half(COLUMNS)),
        partial(PlantedBudgets, worse_at_half(SUBSPACES)),
    ),
}
"""By measurement: a suite in which every part is REPLICATED, and one in which it is REFUTED."""


@lru_cache
def record(id: str, which: str, make: Callable[[], Suite]) -> Record:
    return measured(id, which, make())


MANY_POINTS = claim_module("SASA-01").MANY_POINTS


@pytest.fixture(autouse=True)
def fewer_tilings_features_and_settings_more_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for worlds that are true or false by construction."""
    monkeypatch.setattr(claim_module("SASA-02"), "PAIRS", {2: 8})
    monkeypatch.setattr(claim_module("SASA-01"), "EACH", 1)
    monkeypatch.setattr(claim_module("SASA-01"), "REPETITIONS", 12)
    monkeypatch.setattr(claim_module("SASA-01"), "MANY_POINTS", MANY_POINTS[:1])


@pytest.mark.parametrize(("id", "which"), REACHED)
def test_every_part_is_replicated_where_the_claim_is_true(id: str, which: str) -> None:
    found = record(id, which, REACHED[id, which][0])
    assert {part.name: part.verdict for part in found.parts} == dict.fromkeys(
        [part.name for part in found.parts], Verdict.REPLICATED
    )


@pytest.mark.parametrize(("id", "which"), REACHED)
def test_it_is_refuted_where_the_claim_is_false(id: str, which: str) -> None:
    assert record(id, which, REACHED[id, which][1]).verdict is Verdict.REFUTED


@pytest.mark.parametrize(("id", "which"), REACHED)
def test_every_part_has_controls_of_both_kinds(id: str, which: str) -> None:
    for part in record(id, which, REACHED[id, which][0]).parts:
        assert {control.kind.value for control in part.controls} == {"negative", "positive"}


def test_no_measurement_is_left_out() -> None:
    measurements = {
        (f"SASA-{number:02d}", which)
        for number in range(1, 10)
        for which in (HARDENED, PUBLISHED)
        if hasattr(claim_module(f"SASA-{number:02d}"), which.upper())
    }
    assert set(REACHED) == measurements
