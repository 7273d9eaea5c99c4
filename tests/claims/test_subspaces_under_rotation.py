"""X-02 seen to say which kind of dictionary one rotation carries."""

from dataclasses import replace

import claim_runs
import planted
import pytest
import torch
from torch import Tensor

import polyrot as pr
from polyrot.capabilities.dictionaries import (
    GROUPS,
    KINDS,
    RANK,
    RECIPE,
    SCALAR,
    SUBSPACE,
    GroupAutoencoders,
    recipe_of,
)
from polyrot.capabilities.streams import LATE_SITE
from polyrot.errors import NotRun
from polyrot.experiments.synthetic import worlds as synthetic
from polyrot.linalg import haar
from polyrot.suites.registry import world_name
from polyrot.suites.suite import Suite
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record

CLAIM = claim_runs.claim_module("X-02")
D_MODEL, SHARED = 16, 4
NOISE_MATCHED = "noise-matched Haar world"


def projection(kind: str, basis: Tensor) -> pr.SAE:
    """A dictionary that reconstructs what is in a subspace, `[rank, d_model]`, and no more."""
    scalar = kind == SCALAR
    columns = torch.cat([basis, -basis] if scalar else [basis, 0 * basis]).float()
    count = len(columns)
    rule = pr.TopK(count) if scalar else pr.GroupTopK(count // 2, 2)
    return pr.SAE(
        columns.mT.contiguous(),
        torch.zeros(count),
        columns,
        torch.zeros(basis.shape[1]),
        activation=rule,
    )


class PlantedDictionaries(planted.PlantedSuite, GroupAutoencoders):
    """Rotated seeds that share a few strong dimensions; each kind explains these, or the rest.

    The rest is weak: a world as noisy as these seeds must lose no more than the bar allows.
    """

    def __init__(self, **explains: str) -> None:
        shared = planted.gaussian(D_MODEL, 1)
        self._planted_dictionaries: dict[tuple[int, str], pr.SAE] = {}
        activations = []
        for seed in planted.SEEDS:
            own = planted.gaussian(D_MODEL, 100 + seed)
            rotation = haar.sample(D_MODEL, seed=seed)
            whole = torch.cat([shared[:, :SHARED], 0.5 * own[:, SHARED:]], dim=1)
            activations.append(whole @ rotation.float())
            parts = {"shared": rotation[:SHARED], "rest": rotation[SHARED:]}
            for kind, part in explains.items():
                self._planted_dictionaries[seed, kind] = projection(kind, parts[part])
        super().__init__(activations)

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> pr.SAE:
        pytest.fail("wants no SAE")

    def dictionary(self, seed: int, kind: str, sae_seed: int = 0) -> pr.SAE:
        if sae_seed and seed != self.seeds[0]:
            raise self.lacks("second dictionary")
        return self._planted_dictionaries[seed, kind]


class SelectingDictionaries(PlantedDictionaries):
    """Tokens of one plane each, of which every seed represents the weak ones by another plane.

    Group dictionaries choose the strongest plane, so the same residuals cost little where they are
    dealt to other tokens, most of which are strong.  Scalar ones write and lose next to nothing.
    """

    def __init__(self, *, weak: float) -> None:
        draw, tokens = planted.generator(5), planted.SEQUENCES * planted.LENGTH
        planes = D_MODEL // RANK
        common = torch.randint(planes, (tokens,), generator=draw)
        code = torch.randn(tokens, RANK, generator=draw)
        code /= code.norm(dim=1, keepdim=True)
        is_weak = torch.rand(tokens, generator=draw) < weak
        code[is_weak] *= 0.5
        self._planted_dictionaries = {}
        activations = []
        for seed in planted.SEEDS:
            other = torch.randint(planes, (tokens,), generator=planted.generator(50 + seed))
            x = torch.zeros(tokens, planes, RANK)
            x[torch.arange(tokens), torch.where(is_weak, other, common)] = code
            rotation = haar.sample(D_MODEL, seed=seed)
            activations.append(x.flatten(1) @ rotation.float())
            chooses = projection(SUBSPACE, rotation)
            self._planted_dictionaries[seed, SUBSPACE] = replace(
                chooses, activation=pr.GroupTopK(1, RANK)
            )
            self._planted_dictionaries[seed, SCALAR] = projection(SCALAR, 0.01 * rotation)
        planted.PlantedSuite.__init__(self, activations)


def measured(on: Suite, *, controlled: bool = True) -> Record:
    with pytest.MonkeyPatch.context() as patch:
        if not controlled:
            patch.setattr(CLAIM, "HARDENED", replace(CLAIM.HARDENED, controls=()))
        return claim_runs.measured("X-02", "hardened", on)


@pytest.fixture
def placed_by_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyrot.verdict.run.place_parts", claim_runs.by_interval)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dictionaries of worlds after few steps: what is asked here needs no more."""
    recipe = replace(synthetic.DICTIONARY_RECIPE, steps=40)
    monkeypatch.setattr(synthetic, "DICTIONARY_RECIPE", recipe)


@pytest.mark.usefixtures("placed_by_interval")
@pytest.mark.parametrize(
    ("scalar", "subspace", "carried", "beyond"),
    [
        ("shared", "shared", "inside", "inside"),
        ("rest", "shared", "inside", "inside"),
        ("shared", "rest", "outside", "outside"),
        # Neither is carried: the second part says nothing beside the first.
        ("rest", "rest", "outside", "inside"),
    ],
)
def test_each_part_is_judged_by_itself(
    scalar: str, subspace: str, carried: str, beyond: str
) -> None:
    record = measured(PlantedDictionaries(scalar=scalar, subspace=subspace))
    assert {part.name: part.placement for part in record.parts} == {
        CLAIM.CARRIED: carried,
        CLAIM.BEYOND: beyond,
    }
    for part in record.parts:
        # Noise that lies where a dictionary reads costs it as much: that is no finding about it.
        misses = {NOISE_MATCHED} if part.placement == "outside" else set()
        assert {control.name for control in part.controls if not control.behaved} <= misses
        if part.placement == "inside":
            assert part.verdict is Verdict.REPLICATED
    assert not record.not_drawn
    assert [figure.name for figure in record.figures] == ["lost", "likeness"]


@pytest.mark.usefixtures("placed_by_interval")
def test_what_noise_does_not_explain_is_refuted() -> None:
    for part in measured(SelectingDictionaries(weak=0.1)).parts:
        assert part.verdict is Verdict.REFUTED, part.reason
        assert all(control.behaved for control in part.controls), part.name


def test_the_dictionaries_that_a_rotation_carries_are_those_of_the_target() -> None:
    suite = PlantedDictionaries(scalar="shared", subspace="shared")
    details = measured(suite).parts[0].estimate.details
    for kind in KINDS:
        # Up to the rounding of a fit to single precision, and of the strengths on held-out tokens.
        assert details[f"mean {kind} overlap, rotated"] > 0.99
        assert details[f"mean {kind} overlap, two SAE seeds"] == pytest.approx(1)
        assert details[f"mean {kind} overlap, as they are"] < 0.6
        assert details[f"mean {kind} EV lost"] < 0.01
    assert details["mean largest angle of subspaces, rotated"] < 5
    assert details["mean largest angle of subspaces, at random"] > 30


def test_reading_the_rotated_target_is_what_a_carried_dictionary_does() -> None:
    suite = pr.load_suite(world_name("haar"))
    pair = next(iter(suite.pairs(LATE_SITE)))
    sae = projection(SUBSPACE, haar.sample(synthetic.D_MODEL, seed=9)[:8]).to(torch.float64)
    fit = pair.alignment
    target = pair.target[pair.held_out].double()
    carried = fit.inverse().carry_sae(sae)
    there = carried.decode(carried.encode(target))
    left = pr.ev(fit.apply(there), pair.source[pair.held_out])
    assert CLAIM.ev_lost(pair, sae)[1] == pytest.approx(left, abs=1e-6)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("world", "met"), [("haar", True), ("unrelated", False)])
def test_worlds_are_told_apart(world: str, met: bool) -> None:
    carried, beyond = measured(pr.load_suite(world_name(world)), controlled=False).parts
    assert carried.placement == ("inside" if met else "outside")
    assert beyond.placement == "inside" or not met


@pytest.mark.usefixtures("short")
def test_a_world_trains_the_dictionaries_of_the_recipe_and_the_first_model_two() -> None:
    one, again = pr.load_suite(world_name("haar")), pr.load_suite(world_name("haar"))
    for kind, rule in ((SCALAR, pr.TopK(GROUPS * RANK)), (SUBSPACE, pr.GroupTopK(GROUPS, RANK))):
        sae = one.dictionary(1, kind)
        assert sae.activation == rule
        assert sae.features == RECIPE.expansion * synthetic.D_MODEL
        assert torch.equal(sae.W_dec, again.dictionary(1, kind).W_dec)
        assert not torch.equal(one.dictionary(0, kind).W_dec, one.dictionary(0, kind, 1).W_dec)
        with pytest.raises(NotRun, match="no second dictionary of seed 1, only of seed 0"):
            one.dictionary(1, kind, 2)


def test_two_runs_give_the_same_numbers() -> None:
    first, second = (
        measured(PlantedDictionaries(scalar="shared", subspace="shared")) for _ in range(2)
    )
    assert [part.estimate for part in first.parts] == [part.estimate for part in second.parts]
    assert [part.controls for part in first.parts] == [part.controls for part in second.parts]


def test_what_is_asked_of_a_suite_without_dictionaries_is_not_run() -> None:
    with pytest.raises(NotRun, match="no group autoencoders; run it with --suite dyck3 or dyck"):
        measured(planted.PlantedSuite([planted.gaussian(D_MODEL, seed) for seed in planted.SEEDS]))


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="Expected kind to be one of scalar, subspace but got"):
        recipe_of("planar")
