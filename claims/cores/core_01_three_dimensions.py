"""CORE-01: Markov transformers have a 3-dimensional core.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): on a chain of four
states, 3 directions hold 99.9% of the energy of balanced truncation.  The tail is the
unembedding, whose Jacobian has one row a state: no rank above 4 is possible, whatever the model
has learned.  One of the four is a shift of all logits alike, which no prediction hears.  Hardened:
without it, the unembedding's rows centred.  Then no rank above 3 is possible.

So the same is asked of chains on five and six states, which should have one dimension less than
states, and of a chain on four states whose next state hangs on one bit, which should have one.

Where answers also hear noise (the worlds `chain-hears-noise` and `chain-loud-voice`) the published
rank is four and the hardened one three, of directions that are not all the chain's: what the rank
says is how many directions are heard, not what is heard in them.
"""

from collections.abc import Callable

import pytest

from polyrot.experiments.chains import figures as core_figures
from polyrot.experiments.chains.models import ChainModels
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-01",
    "Markov transformers have a 3-dimensional core",
    "arXiv 2602.22600, Markov chain",
    {"markov": "3"},
    true_in=("chain-state",),
    false_in=("chain-one-bit",),
)

World = Callable[[Suite], ChainModels]


def as_trained(suite: Suite) -> ChainModels:
    return suite.chain


def untrained(suite: Suite) -> ChainModels:
    return suite.untrained_chain


def one_bit(suite: Suite) -> ChainModels:
    return suite.other_chain("markov-two-rows")


def five_states(suite: Suite) -> ChainModels:
    return suite.other_chain("markov-5")


def six_states(suite: Suite) -> ChainModels:
    return suite.other_chain("markov-6")


CONTROLS = (
    negative("untrained model", untrained),
    negative("a chain that hangs on one bit", one_bit),
    positive("five states", five_states),
    positive("six states", six_states),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(1, "share of seeds whose rank is the number of states but one"),
    CONTROLS,
    published=True,
    printed={"markov": (Printed((1,), "rank 3"),)},
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(1, "share of seeds of that rank, common shifts of the logits left out"),
    CONTROLS,
)

SHOWN = {
    ("trained", Role.MODELS): as_trained,
    ("untrained", Role.NEGATIVE): untrained,
    ("hangs on one bit", Role.NEGATIVE): one_bit,
    ("six states", Role.POSITIVE): six_states,
}


def spectra(suite: Suite, *, shifts: bool) -> list[Figure]:
    worlds = {drawn: read(world(suite), shifts=shifts) for drawn, world in SHOWN.items()}
    weights = {drawn: [core.weights for core in own.cores] for drawn, own in worlds.items()}
    return [core_figures.spectra(weights)]


def read(models: ChainModels, *, shifts: bool) -> ChainModels:
    return models if shifts else models.without_common_shift


def ranks(suite: Suite, models: ChainModels) -> dict[str, Estimate]:
    cores = dict(zip(suite.seeds, models.cores, strict=True))
    right = {seed: float(core.rank == models.rank) for seed, core in cores.items()}
    shares = {
        seed: float(core.weights[: models.rank].sum() / core.weights.sum())
        for seed, core in cores.items()
    }
    details = beside(f"energy of {models.rank} directions", over_seeds(shares))
    details |= {f"rank of seed {seed}": core.rank for seed, core in cores.items()}
    return {"rank": over_seeds(right, details=details)}


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        return ranks(suite, read(world(suite), shifts=True))

    judge(measure, figures=lambda estimates: spectra(suite, shifts=True))


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        return ranks(suite, read(world(suite), shifts=False))

    judge(measure, figures=lambda estimates: spectra(suite, shifts=False))
