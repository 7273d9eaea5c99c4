"""The authors' numbers on the shipped weights: what their released code gives for these models.

Their functions were run, unmodified, on the weights and sequences that polyrot measures
(github.com/joshseth/cores at da253a0).  Where numbers differ in the last digits, the released code
computes in single precision, or adds 1e-8 to the diagonals of its Gramians.
"""

from functools import lru_cache
from itertools import combinations

import claim_runs
import pytest

from polyrot import load_suite
from polyrot.cores.ablation import keep, remove
from polyrot.cores.comparison import canonical_correlations, overlap
from polyrot.cores.dynamics import fit_dynamics
from polyrot.experiments.addition.models import END, END_WITHOUT_DECAY, GROKKED, MEMORISED, Addition
from polyrot.experiments.chains import controls
from polyrot.experiments.chains.models import ChainModels, Chains
from polyrot.suites.suite import Suite
from polyrot.tasks import modular

pytestmark = pytest.mark.seconds
SEEDS = range(5)
HELD_OUT = ~modular.is_training()


@lru_cache(maxsize=1)
def suite(name: str) -> Suite:
    return load_suite(name)


def chains() -> ChainModels:
    return suite("markov").get(Chains).models


def test_ranks_and_weights_of_chains() -> None:
    models = chains()
    assert [core.rank for core in models.cores] == [3, 3, 3, 4, 4]
    weights = models.cores[0].weights.tolist()
    assert weights == pytest.approx([17.765725, 17.034145, 0.27848534, 0.02902150], rel=1e-6)


def test_accuracies_of_chains() -> None:
    models, found = chains(), []
    for index in SEEDS:
        basis = controls.core(models, index)
        found.append(models.accuracy(index, lambda x, basis=basis: remove(x, basis)))
    assert found[0] == pytest.approx(0.266108, abs=1e-6)
    assert found[2:] == pytest.approx([0.24728, 0.248152, 0.250662], abs=1e-6)
    core = controls.core(models, 0)
    assert models.accuracy(0) == pytest.approx(0.747007, abs=1e-6)
    assert models.accuracy(0, lambda x: keep(x, core)) == pytest.approx(0.747007, abs=1e-6)


def test_overlaps_of_chains() -> None:
    models = chains()

    def overlaps(subspace: controls.Subspace) -> list[float]:
        bases = [subspace(models, index) for index in SEEDS]
        return [overlap(one, other) for one, other in combinations(bases, 2)]

    of_three = [0.02485, 0.03583, 0.04944, 0.04503, 0.02494]
    of_three += [0.04226, 0.06674, 0.04837, 0.03068, 0.05770]
    assert overlaps(controls.core) == pytest.approx(of_three, abs=6e-6)
    by_energy = overlaps(controls.core_by_energy)
    assert sum(by_energy) / len(by_energy) == pytest.approx(0.0467, abs=5e-5)
    # With three dimensions for every seed the mean would be lower.
    assert sum(of_three) / len(of_three) == pytest.approx(0.0426, abs=5e-5)


def test_canonical_correlations_of_chains() -> None:
    first, second, *_ = controls.coordinates(chains(), controls.core)
    expected = [0.99880, 0.99856, 0.92373]
    assert canonical_correlations(first, second).tolist() == pytest.approx(expected, abs=6e-6)


def test_eigenvalues_and_r2_of_chains() -> None:
    models = chains()
    fitted = [x.double() for x in models.activations[:, ~models.held_out]]
    of_three = [x @ controls.core(models, index) for index, x in enumerate(fitted)]
    pair, _, real = fit_dynamics(of_three[0]).eigenvalues.tolist()
    assert pair == pytest.approx(0.753834 + 0.252479j, abs=6e-6)
    assert real == pytest.approx(0.501319, abs=6e-6)
    r2 = [fit_dynamics(x).score_by_coordinate(x) for x in of_three]
    # They centre the two positions separately.
    assert r2 == pytest.approx([0.50657, 0.49799, 0.49417, 0.49964, 0.50359], abs=2e-4)
    by_energy = [x @ controls.core_by_energy(models, index) for index, x in enumerate(fitted)]
    over_oracle = [
        fit_dynamics(x).score_by_coordinate(x) / models.chain.oracle_r2 for x in by_energy[3:]
    ]
    assert over_oracle == pytest.approx([0.79, 0.76], abs=5e-3)
    assert models.chain.oracle_r2 == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("checkpoint", "necessary", "energy"),
    [
        (GROKKED, [12, 19, 12], [12, 19, 12]),
        (END, [43, 66, 32], [36, 33, 26]),
        (END_WITHOUT_DECAY, [48, 14, 44], None),
        (MEMORISED, None, [39, 39, 37]),
    ],
)
def test_ranks_of_addition(
    checkpoint: str, necessary: list[int] | None, energy: list[int] | None
) -> None:
    models = suite("modular-addition").get(Addition).questions(checkpoint).from_held_out
    ranks = [models.ranks(index, HELD_OUT) for index in range(3)]
    if necessary:
        assert [rank.necessary for rank in ranks] == necessary
    if energy:
        assert [rank.energy for rank in ranks] == energy
    if checkpoint == END:
        assert [rank.sufficient for rank in ranks] == [36, 33, 26]


def test_the_cyclic_operator_of_addition() -> None:
    models = suite("modular-addition").get(Addition).questions(GROKKED).from_held_out
    shifts = [models.shift(index, rank) for index, rank in enumerate((12, 19, 12))]
    expected = [0.99619, 0.97572, 0.99632]
    assert [shift.r2 for shift in shifts] == pytest.approx(expected, abs=6e-6)
    assert [shift.ring_share for shift in shifts] == pytest.approx([1, 0.632, 1], abs=5e-4)


def test_the_exponent_of_the_mean_delays() -> None:
    record = claim_runs.measured("CORE-10", "hardened", suite("modular-addition"), drawn=False)
    details = record.parts[0].estimate.details
    assert details["exponent of the mean delays"] == pytest.approx(-1.0217, abs=5e-5)
