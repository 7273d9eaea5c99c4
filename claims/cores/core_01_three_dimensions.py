"""CORE-01: Markov transformers have a 3-dimensional core.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): on a chain of four
states, balanced truncation finds 99.9% of its energy in 3 directions.  "Every" seed is refuted by
one seed of another rank; the share of seeds is reported.

But the unembedding that reads the directions has one row for each state, so the rank cannot exceed
4 whatever the model has learned, and one of the four shifts all logits alike and changes no
prediction.  Hardened: the rows are centred, which removes that direction; the rank then cannot
exceed 3, and three is no finding.  The mean rank is judged: it must be 3.

In the positive controls, models that encode the present state of chains with five and six states
are planted: their cores have one dimension fewer than the chain has states.  The rank counts
directions that are read, not what they encode: where the logits also read noise (the world
`chain-hears-noise`), it is four as published, three hardened.
"""

import pytest

from polyrot.claim import *
from polyrot.experiments.chains import figures
from polyrot.experiments.chains.controls import as_trained, planted_models
from polyrot.experiments.chains.models import ChainModels, Chains
from polyrot.models.encoder_cohorts import CHAINS

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
    negative("a chain that depends on one bit", lambda chains: chains.models_of("markov-two-rows")),
    positive("five states, planted", lambda chains: planted_models(chains, CHAINS["markov-5"])),
    positive("six states, planted", lambda chains: planted_models(chains, CHAINS["markov-6"])),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(1, "share of seeds whose rank is the number of states but one"),
    CONTROLS,
    published=True,
    printed={"markov": (Printed((1,), "rank 3"),)},
    unreachable="REPLICATED: no number of seeds shows that every seed has this rank",
)
HARDENED = Measurement(
    CLAIM,
    Bar.between(0, 0, "rank less the number of states but one, common shifts left out"),
    CONTROLS,
    printed={"markov": (Printed((0,), "rank 3"),)},
    unreachable="REPLICATED: the core of V outputs has at most V - 1 dimensions, so untrained "
    "models meet the bar too",
)


def details(models: ChainModels, index: int) -> tuple[int, float]:
    """Return the rank of a seed's core, and the energy of V - 1 directions."""
    core = models.cores[index]
    return core.rank, float(core.weights[: models.rank].sum() / core.weights.sum())


def share_of_that_rank(chains: Chains, models: ChainModels) -> dict[str, Estimate]:
    """The share of seeds whose core has one dimension fewer than the chain has states."""
    found = {seed: details(models, chains.index(seed)) for seed in chains.seeds}
    energy = sum(share for _, share in found.values()) / len(found)
    beside = {f"energy of {models.rank} directions": energy}
    beside |= {f"rank of seed {seed}": rank for seed, (rank, _) in found.items()}
    holds = {seed: rank == models.rank for seed, (rank, _) in found.items()}
    return {"rank": share_of_seeds(holds, details=beside)}


def mean_rank(chains: Chains, models: ChainModels) -> dict[str, Estimate]:
    """The rank of the core, less the number of states but one."""

    def measure(seed: int) -> Measured:
        rank, energy = details(models, chains.index(seed))
        also = {f"energy of {models.rank} directions": energy}
        return Measured(rank - models.rank, also, each={f"rank of seed {seed}": rank})

    return {"rank": average(chains.seeds, measure)}


@pytest.mark.measurement(PUBLISHED)
def test_published(chains: Chains, judge: Judge) -> None:
    judge(
        lambda world=as_trained: share_of_that_rank(chains, world(chains)),
        figures=[lambda _: figures.spectra(chains, common_shift=True)],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda world=as_trained: mean_rank(chains, world(chains).without_common_shift),
        figures=[lambda _: figures.spectra(chains, common_shift=False)],
    )
