"""CORE-01: Markov transformers have a 3-dimensional core.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): on a chain of four
states, 3 directions hold 99.9% of the energy of balanced truncation.  The tail is the
unembedding, whose Jacobian has one row a state: no rank above 4 is possible, whatever the model
has learned.  So the same is asked of chains on five and six states, and of one on four states
whose next state hangs on one bit.
"""

from collections.abc import Callable

import pytest

from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites import core_figures
from polyrot.suites.chains import ChainModels
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


HARDENED = Measurement(
    CLAIM,
    Bar.between(0, 0, "ACE rank, less the number of states but one"),
    (
        negative("untrained model", untrained),
        negative("a chain that hangs on one bit", one_bit),
        positive("five states", five_states),
        positive("six states", six_states),
    ),
    printed={"markov": (Printed((0,), "rank 3"),)},
)


SHOWN = {
    ("trained", Role.MODELS): as_trained,
    ("untrained", Role.NEGATIVE): untrained,
    ("hangs on one bit", Role.NEGATIVE): one_bit,
    ("six states", Role.POSITIVE): six_states,
}


def spectra(suite: Suite) -> list[Figure]:
    worlds = {drawn: world(suite) for drawn, world in SHOWN.items()}
    weights = {drawn: [core.weights for core in own.cores] for drawn, own in worlds.items()}
    return [core_figures.spectra(weights)]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        models = world(suite)
        cores = dict(zip(suite.seeds, models.cores, strict=True))
        excess = {seed: float(core.rank - models.rank) for seed, core in cores.items()}
        shares = {
            seed: float(core.weights[: models.rank].sum() / core.weights.sum())
            for seed, core in cores.items()
        }
        details = beside(f"energy of {models.rank} directions", over_seeds(shares))
        details |= {f"rank of seed {seed}": core.rank for seed, core in cores.items()}
        return {"rank": over_seeds(excess, details=details)}

    judge(measure, figures=lambda estimates: spectra(suite))
