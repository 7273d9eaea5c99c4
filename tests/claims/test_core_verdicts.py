"""Both verdicts of every measurement of CORE-01 to CORE-12 are reached in planted worlds."""

from collections.abc import Callable
from functools import lru_cache, partial

import claim_runs
import pytest
from planted_agreement import PlantedReaders, one_axis

from polyrot import load_suite
from polyrot.experiments.addition.models import MEMORISED, AdditionModels
from polyrot.experiments.addition.worlds import AdditionWorld, a_direction_each, scattered
from polyrot.experiments.chains.models import ChainModels
from polyrot.experiments.chains.planted import bases_apart
from polyrot.experiments.chains.worlds import CHAIN, ChainWorld, hears_a_loud_voice
from polyrot.suites.draws import Draw
from polyrot.suites.registry import world_name
from polyrot.suites.suite import Suite
from polyrot.verdict.claim import Measurement
from polyrot.verdict.judge import Verdict

REPLICATED, REFUTED = Verdict.REPLICATED, Verdict.REFUTED
IDS = [f"CORE-{number:02}" for number in range(1, 13)]


@lru_cache(maxsize=2)  # a world of a chain has 325 MB
def world(name: str) -> Suite:
    return load_suite(world_name(name))


class LoudAndApart(ChainWorld):
    """Cores of four dimensions, kept apart: four random dimensions overlap by more than 0.05."""

    def __init__(self) -> None:
        super().__init__("chain-apart")

    @property
    def models(self) -> ChainModels:
        return loud_and_apart()


@lru_cache(maxsize=1)
def loud_and_apart() -> ChainModels:
    return hears_a_loud_voice(Draw(0), CHAIN, bases_apart)


class Before(AdditionWorld):
    """Circles at grokking, and known models before it."""

    def __init__(self, memorised: Callable[[Draw, int], AdditionModels]) -> None:
        super().__init__("addition-circles")
        self._makes = {**self._makes, MEMORISED: memorised}


TWELVE = {"small": tuple(range(1, 13)), "large": tuple(range(13, 25))}

Make = Callable[[], Suite]
HARDENED, PUBLISHED = "hardened", "published"


def of(name: str) -> Make:
    return partial(world, name)


REACHED: list[tuple[str, str, Verdict, Make]] = [
    *[(f"CORE-0{n}", HARDENED, REPLICATED, of("chain-state")) for n in (2, 3, 5, 6)],
    ("CORE-06", PUBLISHED, REPLICATED, of("chain-state")),
    ("CORE-04", HARDENED, REPLICATED, of("chain-apart")),
    ("CORE-04", PUBLISHED, REPLICATED, LoudAndApart),
    ("CORE-01", HARDENED, REFUTED, of("chain-one-bit")),
    ("CORE-01", PUBLISHED, REFUTED, of("chain-hears-noise")),
    ("CORE-02", HARDENED, REFUTED, of("chain-needs-its-mean")),
    ("CORE-03", HARDENED, REFUTED, of("chain-loud-voice")),
    ("CORE-04", HARDENED, REFUTED, of("chain-together")),
    ("CORE-04", PUBLISHED, REFUTED, of("chain-together")),
    ("CORE-05", HARDENED, REFUTED, of("chain-own-third")),
    ("CORE-06", HARDENED, REFUTED, of("chain-out-of-order")),
    ("CORE-06", PUBLISHED, REFUTED, of("chain-out-of-order")),
    ("CORE-07", HARDENED, REPLICATED, of("addition-circles")),
    ("CORE-08", HARDENED, REPLICATED, of("addition-circles")),
    ("CORE-09", HARDENED, REFUTED, of("addition-circles")),
    ("CORE-09", PUBLISHED, REFUTED, of("addition-circles")),
    ("CORE-07", PUBLISHED, REPLICATED, partial(Before, a_direction_each)),
    ("CORE-08", PUBLISHED, REPLICATED, partial(Before, scattered(15))),
    ("CORE-07", HARDENED, REFUTED, of("addition-a-direction-each")),
    ("CORE-07", PUBLISHED, REFUTED, of("addition-a-direction-each")),
    ("CORE-08", HARDENED, REFUTED, of("addition-scattered-15")),
    ("CORE-08", PUBLISHED, REFUTED, of("addition-scattered-15")),
    ("CORE-09", HARDENED, REPLICATED, of("addition-inflates")),
    ("CORE-09", PUBLISHED, REPLICATED, of("addition-inflates")),
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
    id: str, which: str, verdict: Verdict, make: Make
) -> None:
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
