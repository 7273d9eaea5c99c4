"""CORE-01: Markov transformers have a 3-dimensional core.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): on a chain of four
states, balanced truncation finds 99.9% of its energy in 3 directions.  They are read by the
unembedding, whose Jacobian has one row for each state, so the rank cannot exceed 4 whatever the
model has learned.  One of those four directions shifts all logits alike and changes no
prediction.  Hardened: the unembedding's rows are centred, which removes that direction; the rank
then cannot exceed 3.

Controls ask the same of chains with five and six states, whose cores should have one dimension
fewer than the chain has states, and of a four-state chain whose next state depends on one bit,
whose core should have one dimension.

Where the logits also read noise (the worlds `chain-hears-noise` and `chain-loud-voice`) the
published rank is four and the hardened one three, although not all of these directions carry the
chain's state: the rank counts the directions that are read, not what they encode.
"""

from collections.abc import Callable

import pytest

from polyrot.claim import *
from polyrot.experiments.chains import figures
from polyrot.experiments.chains.models import ChainModels, Chains

CLAIM = Claim(
    "CORE-01",
    "Markov transformers have a 3-dimensional core",
    "arXiv 2602.22600, Markov chain",
    {"markov": "3"},
    true_in=("chain-state",),
    false_in=("chain-one-bit",),
)

World = Callable[[Chains], ChainModels]


def trained(chains: Chains) -> ChainModels:
    return chains.chain


def untrained(chains: Chains) -> ChainModels:
    return chains.untrained_chain


def other_chain(name: str) -> World:
    return lambda chains: chains.other_chain(name)


ONE_BIT, FIVE_STATES, SIX_STATES = map(other_chain, ("markov-two-rows", "markov-5", "markov-6"))
CONTROLS = (
    negative("untrained model", untrained),
    negative("a chain that hangs on one bit", ONE_BIT),
    positive("five states", FIVE_STATES),
    positive("six states", SIX_STATES),
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
SHOWN: dict[tuple[str, Role], World] = {
    ("trained", Role.MODELS): trained,
    ("untrained", Role.NEGATIVE): untrained,
    ("hangs on one bit", Role.NEGATIVE): ONE_BIT,
    ("six states", Role.POSITIVE): SIX_STATES,
}


def expected_rank(chains: Chains, models: ChainModels) -> dict[str, Estimate]:
    """Estimate the share of seeds whose core has one dimension fewer than the chain has states."""

    def measure(seed: int) -> Measured:
        core, rank = models.cores[chains.index(seed)], models.rank
        energy = float(core.weights[:rank].sum() / core.weights.sum())
        return Measured(
            float(core.rank == rank),
            also={f"energy of {rank} directions": energy},
            each={f"rank of seed {seed}": core.rank},
        )

    return {"rank": average(chains.seeds, measure)}


@pytest.mark.measurement(PUBLISHED)
def test_published(chains: Chains, judge: Judge) -> None:
    def spectra(_: Worlds) -> list[Figure]:
        return figures.spectra({curve: world(chains) for curve, world in SHOWN.items()})

    judge(lambda world=trained: expected_rank(chains, world(chains)), figures=[spectra])


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    def centred(world: World) -> ChainModels:
        return world(chains).without_common_shift

    def spectra(_: Worlds) -> list[Figure]:
        return figures.spectra({curve: centred(world) for curve, world in SHOWN.items()})

    judge(lambda world=trained: expected_rank(chains, centred(world)), figures=[spectra])
