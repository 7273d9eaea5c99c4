"""X-01 seen to say where a rotation acts."""

import claim_runs
import planted
import pytest
import torch
from torch import Tensor

from polyrot import load_suite
from polyrot.capabilities.cores import Cores
from polyrot.cores.extraction import Core
from polyrot.cores.gramians import Tail
from polyrot.linalg import haar
from polyrot.suites.registry import world_name
from polyrot.suites.suite import Suite
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record

D_MODEL, RANK = 16, 4


class PlantedCores(planted.PlantedSuite, Cores):
    """Seeds under rotations of their own, which share the core, all else, or both."""

    def __init__(self, *, core: bool, rest: bool) -> None:
        shared = planted.gaussian(D_MODEL, 1)
        self._bases: dict[int, Tensor] = {}
        activations = []
        for seed in planted.SEEDS:
            own = planted.gaussian(D_MODEL, 100 + seed)
            inside = (shared if core else own)[:, :RANK]
            outside = (shared if rest else own)[:, RANK:]
            rotation = haar.sample(D_MODEL, seed=seed)
            activations.append(torch.cat([inside, outside], dim=1) @ rotation.float())
            self._bases[seed] = rotation[:RANK].mT
        super().__init__(activations)

    def tail(self, seed: int) -> Tail:
        pytest.fail("cores are given")

    def core(self, seed: int) -> Core:
        basis = self._bases[seed]
        directions = torch.linalg.qr(basis, mode="complete").Q
        return Core(
            torch.cat([basis, directions[:, RANK:]], dim=1),
            torch.ones(RANK, dtype=torch.float64),
            RANK,
            torch.zeros(D_MODEL, dtype=torch.float64),
        )


@pytest.fixture(autouse=True)
def placed_by_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyrot.verdict.run.place_parts", claim_runs.by_interval)


def measured(on: Suite) -> Record:
    return claim_runs.measured("X-01", "hardened", on)


@pytest.mark.parametrize(
    ("core", "rest", "inside", "outside"),
    [
        (True, True, Verdict.REPLICATED, Verdict.REPLICATED),
        (True, False, Verdict.REPLICATED, Verdict.REFUTED),
        (False, True, Verdict.REFUTED, Verdict.REPLICATED),
        (False, False, Verdict.REFUTED, Verdict.REFUTED),
    ],
)
def test_each_part_is_judged_by_itself(
    core: bool, rest: bool, inside: Verdict, outside: Verdict
) -> None:
    record = measured(PlantedCores(core=core, rest=rest))
    assert {part.name: part.verdict for part in record.parts} == {
        "inside the core": inside,
        "outside it": outside,
    }
    assert not record.not_drawn


@pytest.mark.parametrize(
    ("world", "inside", "outside"),
    [("haar", True, True), ("shuffled-inside", False, True), ("shuffled-outside", True, False)],
)
def test_worlds_share_what_they_say(world: str, inside: bool, outside: bool) -> None:
    parts = {part.name: part.placement for part in measured(load_suite(world_name(world))).parts}
    assert parts == {
        "inside the core": "inside" if inside else "outside",
        "outside it": "inside" if outside else "outside",
    }


def test_the_rotation_carries_the_core_that_it_found() -> None:
    (inside, _) = measured(PlantedCores(core=True, rest=True)).parts
    details = inside.estimate.details
    assert details["mean overlap of cores once carried"] == pytest.approx(1, abs=1e-6)
    assert details["mean overlap of cores as they are"] < 0.6
    assert details["mean overlap by chance"] == RANK / D_MODEL
    assert details["mean rank of the core"] == RANK
