"""CORE-01: Markov transformers have a 3-dimensional core.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): on a chain of four
states, balanced truncation finds 99.9% of its energy in 3 directions.  But the unembedding that
reads them has one row for each state, so the rank cannot exceed 4 whatever the model has learned,
and one of the four directions shifts all logits alike and changes no prediction.  Hardened: the
rows are centred, which removes that direction; the rank then cannot exceed 3.

Controls ask the same of chains with five and six states, whose cores should have one dimension
fewer than the chain has states, and of a chain whose next state depends on one bit, whose core
should have one dimension.  The rank counts directions that are read, not what they encode: where
the logits also read noise (the world `chain-hears-noise`), it is four as published, three hardened.
"""

import pytest

from polyrot.claim import *
from polyrot.experiments.chains import figures
from polyrot.experiments.chains.controls import as_trained
from polyrot.experiments.chains.models import ChainModels, Chains

CLAIM = Claim(
    "CORE-01",
    "Markov transformers have a 3-dimensional core",
    "arXiv 2602.22600, Markov chain",
    {"markov": "3"},
    true_in=("chain-state",),
    false_in=("chain-one-bit",),
)
CONTROLS = (
    negative("untrained model", lambda chains: chains.untrained_models),
    negative("a chain that hangs on one bit", lambda chains: chains.models_of("markov-two-rows")),
    positive("five states", lambda chains: chains.models_of("markov-5")),
    positive("six states", lambda chains: chains.models_of("markov-6")),
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


def expected_rank(chains: Chains, models: ChainModels) -> dict[str, Estimate]:
    """The share of seeds whose core has one dimension fewer than the chain has states."""

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
    judge(
        lambda world=as_trained: expected_rank(chains, world(chains)),
        figures=[lambda _: figures.spectra(chains, common_shift=True)],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda world=as_trained: expected_rank(chains, world(chains).without_common_shift),
        figures=[lambda _: figures.spectra(chains, common_shift=False)],
    )
