"""Logistic probes: the optimum they find, what they score, and the units that they choose."""

import pytest
import torch
from torch import Tensor

from polyrot.sae.logistic import answer_weights, f1, fit_probe, sparse_probes


def drawn(tokens: int, d: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(tokens, d, generator=generator, dtype=torch.float64)


def test_a_probe_is_the_least_of_the_weighted_loss() -> None:
    x = drawn(400, 3)
    yes = x @ torch.tensor([2.0, -1.0, 0.0]).double() + drawn(400, 1, seed=1)[:, 0] > 1.5
    probe = fit_probe(x, yes)
    parameters = torch.cat([probe.weight, torch.tensor([probe.bias]).double()]).requires_grad_()
    sign = torch.where(yes, 1.0, -1.0).double()
    margin = sign * (x @ parameters[:3] + parameters[3])
    loss = answer_weights(yes) @ torch.nn.functional.softplus(-margin)
    (loss + parameters[:3].square().sum() / 2).backward()
    assert parameters.grad is not None
    assert float(parameters.grad.abs().max()) < 0.05  # of a sum over 400 tokens
    assert f1(probe(x), yes) > 0.7


def test_both_answers_weigh_the_same_however_rare_one_is() -> None:
    yes = torch.arange(100) < 7
    weights = answer_weights(yes)
    assert float(weights[yes].sum()) == pytest.approx(50)
    assert float(weights[~yes].sum()) == pytest.approx(50)


@pytest.mark.parametrize("known", [0, 5])
def test_one_answer_alone_is_refused(known: int) -> None:
    yes = torch.arange(5) < known
    with pytest.raises(ValueError, match=f"Expected tokens of both answers but got {known} yes of"):
        fit_probe(drawn(5, 2), yes)


def test_f1_of_nothing_found_is_zero() -> None:
    no, some = torch.zeros(3, dtype=torch.bool), torch.tensor([True, False, False])
    assert f1(no, some) == f1(some, no) == 0.0
    assert f1(some, some) == 1.0


def test_units_are_chosen_by_what_the_others_miss() -> None:
    part = torch.arange(600) % 10
    yes = part < 4
    # The third knows most answers, the first is it again but for little, the last knows the rest.
    most, rest = (part < 3).double(), (part == 3).double()
    constant = torch.ones(600).double()
    worse = most.clone()
    worse[:20] = 0
    units = torch.stack([worse, constant, most, -yes.double(), rest], dim=1)
    found = list(sparse_probes(units, yes, 2))
    assert [chosen for chosen, _ in found] == [[2], [2, 4]]
    scores = [f1(probe(units[:, chosen]), yes) for chosen, probe in found]
    assert scores == [pytest.approx(6 / 7), 1.0]


def test_units_that_do_not_vary_are_not_chosen() -> None:
    units = torch.stack([torch.arange(8) % 2, torch.ones(8)], dim=1).double()
    found = list(sparse_probes(units, torch.arange(8) % 2 == 1, 10))
    assert [chosen for chosen, _ in found] == [[0]]
