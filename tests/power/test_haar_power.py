"""How often the Haar battery says no: to Haar matrices at its level, to others nearly always."""

import pytest
import torch
from haar_alternatives import ALTERNATIVES
from scipy import stats

import polyrot as pr
from polyrot.linalg import battery
from polyrot.linalg.battery import BATTERY

LEVEL = 0.05


@pytest.mark.seconds
def test_pvalues_of_haar_matrices_are_uniform() -> None:
    draws = pr.haar.sample(64, 400, group="O", seed=41)
    tests = [pr.haar.test(rotation) for rotation in draws]
    for name in BATTERY:
        # False-alarm rate: five tests at 0.001.
        assert stats.kstest([t.pvalues[name] for t in tests], "uniform").pvalue > 0.001, name
    # Binomial(400, 0.05) exceeds 35 once in a thousand.
    assert sum(t.pvalue <= LEVEL for t in tests) <= 35


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize(
    ("d", "times"), [(64, 100), (512, 5), pytest.param(512, 100, marks=pytest.mark.slow)]
)
def test_power(alternative, d: int, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if times == 5:
        # A null of 2,000 takes ten seconds; of fewer draws no p-value can be as small.
        monkeypatch.setattr(battery, "DRAWS", 500)
    rejected = [pr.haar.test(alternative(d, seed)).pvalue <= LEVEL for seed in range(times)]
    assert sum(rejected) >= 0.95 * times


@pytest.mark.parametrize("d", range(2, 8))
@pytest.mark.parametrize("group", ["SO", "O"])
def test_the_level_holds_in_few_dimensions(d: int, group: str) -> None:
    # Few eigenangles, or none between those that the determinant forces.
    draws = pr.haar.sample(d, 200, group=group, seed=44)
    # Binomial(200, 0.05) exceeds 20 once in a thousand.
    assert sum(pr.haar.test(rotation).pvalue <= LEVEL for rotation in draws) <= 20


def test_the_level_holds_for_the_rotations_between_a_few_frames() -> None:
    # As between five seeds: ten rotations, of which only four are free.
    frames = pr.haar.sample(16, 5 * 200, group="O", seed=45).view(200, 5, 16, 16)
    first, second = torch.triu_indices(5, 5, 1)
    alarms = dict.fromkeys(BATTERY, 0)
    for five in frames:
        found = pr.haar.test(five[first].mT @ five[second])
        for name in BATTERY:
            alarms[name] += found.pvalues[name] <= LEVEL
    # Binomial(200, 0.05) exceeds 22 once in five thousand.
    assert max(alarms.values()) <= 22, alarms


def test_the_level_holds_for_pooled_matrices_of_either_determinant() -> None:
    draws = pr.haar.sample(9, 5 * 200, group="O", seed=43).view(200, 5, 9, 9)
    assert bool((torch.linalg.det(draws).sign().sum(1).abs() < 5).any())  # mixed sets occur
    # Binomial(200, 0.05) exceeds 20 once in a thousand.
    assert sum(pr.haar.test(rotations).pvalue <= LEVEL for rotations in draws) <= 20
