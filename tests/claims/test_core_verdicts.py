"""Both verdicts of every measurement of CORE-01 to CORE-12 are reached in planted worlds."""

from collections.abc import Callable
from functools import cached_property, lru_cache, partial

import claim_runs
import pytest
from planted_agreement import PlantedReaders, one_axis

from polyrot import load_suite
from polyrot.experiments.addition import worlds as addition_worlds
from polyrot.experiments.addition.models import MEMORISED, AdditionModels
from polyrot.experiments.addition.worlds import AdditionWorld, a_direction_each, scattered
from polyrot.experiments.chains import planted
from polyrot.experiments.chains import worlds as chain_worlds
from polyrot.experiments.chains.models import FEWER_SEQUENCES, ChainModels
from polyrot.experiments.chains.planted import bases_apart
from polyrot.experiments.chains.worlds import (
    CHAIN,
    ChainWorld,
    hears_a_loud_voice,
    knows_nothing,
    knows_one_bit,
    reads_noise_too,
)
from polyrot.suites.draws import Draw
from polyrot.suites.registry import world_name
from polyrot.suites.suite import Suite
from polyrot.verdict.claim import Measurement
from polyrot.verdict.judge import Verdict

REPLICATED, REFUTED = Verdict.REPLICATED, Verdict.REFUTED
IDS = [f"CORE-{number:02}" for number in range(1, 13)]


@lru_cache(maxsize=2)  # a world of a chain has 325 MB
def world(name: str, seeds: int) -> Suite:
    return load_suite(world_name(name))


class OneBit(ChainWorld):
    """One bit is encoded and read; fewer sequences, because there are more seeds."""

    def __init__(self) -> None:
        super().__init__("chain-one-bit")

    @cached_property
    def models(self) -> ChainModels:
        return knows_one_bit(Draw(0), sequences=FEWER_SEQUENCES)

    @cached_property
    def untrained_models(self) -> ChainModels:
        return knows_nothing(Draw(0), CHAIN, sequences=FEWER_SEQUENCES)


class HearsALittle(ChainWorld):
    """The state, and a little of the noise, are read: so the accuracies of seeds differ."""

    def __init__(self) -> None:
        super().__init__("chain-state")

    @cached_property
    def models(self) -> ChainModels:
        return reads_noise_too(Draw(0), CHAIN, loudness=0.75)


class LoudAndApart(ChainWorld):
    """Cores of four dimensions, kept apart: four random dimensions overlap by more than 0.05."""

    def __init__(self) -> None:
        super().__init__("chain-apart")

    @cached_property
    def models(self) -> ChainModels:
        return hears_a_loud_voice(Draw(0), CHAIN, bases_apart)


class Before(AdditionWorld):
    """Circles at grokking, and known models before it."""

    def __init__(self, memorised: Callable[[Draw, int], AdditionModels]) -> None:
        super().__init__("addition-circles")
        self._makes = {**self._makes, MEMORISED: memorised}


TWELVE = {"small": tuple(range(1, 13)), "large": tuple(range(13, 25))}

Make = Callable[[], Suite]
HARDENED, PUBLISHED = "hardened", "published"


def of(name: str, seeds: int = 5) -> Make:
    return partial(world, name, seeds)


# Of seeds whose values are equal, 12 are needed: they decide as a sign test does.
CIRCLES, INFLATES = of("addition-circles", 12), of("addition-inflates", 12)
EACH = of("addition-a-direction-each", 12)
NEEDS_ITS_MEAN = of("chain-needs-its-mean", 12)

REACHED: list[tuple[str, str, Verdict, Make]] = [
    *[(f"CORE-0{n}", HARDENED, REPLICATED, of("chain-state")) for n in (3, 5, 6)],
    ("CORE-02", HARDENED, REPLICATED, HearsALittle),
    ("CORE-06", PUBLISHED, REPLICATED, of("chain-state")),
    ("CORE-04", HARDENED, REPLICATED, of("chain-apart")),
    ("CORE-04", PUBLISHED, REPLICATED, LoudAndApart),
    ("CORE-01", HARDENED, REFUTED, OneBit),
    ("CORE-01", PUBLISHED, REFUTED, of("chain-hears-noise")),
    ("CORE-02", HARDENED, REFUTED, NEEDS_ITS_MEAN),
    ("CORE-03", HARDENED, REFUTED, of("chain-loud-voice")),
    ("CORE-04", HARDENED, REFUTED, of("chain-together")),
    ("CORE-04", PUBLISHED, REFUTED, of("chain-together")),
    ("CORE-05", HARDENED, REFUTED, of("chain-own-third")),
    ("CORE-06", HARDENED, REFUTED, of("chain-out-of-order")),
    ("CORE-06", PUBLISHED, REFUTED, of("chain-out-of-order")),
    ("CORE-07", HARDENED, REPLICATED, CIRCLES),
    ("CORE-08", HARDENED, REPLICATED, CIRCLES),
    ("CORE-09", HARDENED, REFUTED, CIRCLES),
    ("CORE-09", PUBLISHED, REFUTED, CIRCLES),
    ("CORE-07", PUBLISHED, REPLICATED, partial(Before, a_direction_each)),
    ("CORE-08", PUBLISHED, REPLICATED, partial(Before, scattered(15))),
    ("CORE-07", HARDENED, REFUTED, EACH),
    ("CORE-07", PUBLISHED, REFUTED, EACH),
    ("CORE-08", HARDENED, REFUTED, of("addition-scattered-15", 12)),
    ("CORE-08", PUBLISHED, REFUTED, of("addition-scattered-15", 12)),
    ("CORE-09", HARDENED, REPLICATED, INFLATES),
    ("CORE-09", PUBLISHED, REPLICATED, INFLATES),
    ("CORE-10", HARDENED, REPLICATED, of("delay-inverse")),
    ("CORE-10", HARDENED, REFUTED, of("delay-root")),
    *[
        found
        for which in (HARDENED, PUBLISHED)
        for found in (
            ("CORE-11", which, REPLICATED, partial(PlantedReaders, one_axis, TWELVE)),
            ("CORE-11", which, REFUTED, of("verb-two-axes")),
            ("CORE-12", which, REPLICATED, of("verb-shared")),
            ("CORE-12", which, REFUTED, of("verb-apart")),
        )
    ],
]


@pytest.mark.parametrize(("id", "which", "verdict", "make"), REACHED)
def test_a_verdict_is_reached_where_it_should_be(
    id: str, which: str, verdict: Verdict, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    if id in ("CORE-07", "CORE-08", "CORE-09") or make in (OneBit, NEEDS_ITS_MEAN):
        for module in (planted, chain_worlds, addition_worlds):
            monkeypatch.setattr(module, "SEEDS", tuple(range(12)))
    record = claim_runs.measured(id, which, make(), drawn=False)
    assert record.verdict is verdict, record.reason


def measurements() -> list[tuple[str, str, Measurement]]:
    return [
        (id, which, found)
        for id in IDS
        for which in (HARDENED, PUBLISHED)
        if (found := getattr(claim_runs.claim_module(id), which.upper(), None))
    ]


def test_each_verdict_is_reached_or_said_to_be_out_of_reach() -> None:
    reached = {(id, which, verdict) for id, which, verdict, _ in REACHED}
    for id, which, measurement in measurements():
        missing = {v for v in (REPLICATED, REFUTED) if (id, which, v) not in reached}
        said = {v for v in missing if measurement.unreachable.startswith(f"{v}:")}
        assert missing == said, (id, which)
        assert bool(missing) == bool(measurement.unreachable)
        assert (id == "CORE-01") == bool(missing)


def test_each_part_has_a_control_of_each_kind() -> None:
    for id, _, measurement in measurements():
        kinds = {control.kind for control in measurement.controls if not control.parts}
        named = [(c.kind, part) for c in measurement.controls for part in c.parts]
        for part in {part for _, part in named} or {""}:
            assert len(kinds | {kind for kind, name in named if name == part}) == 2, id
