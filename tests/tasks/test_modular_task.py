"""Modular addition: every question once, the same half of them for every model."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from polyrot.tasks import modular

moduli = st.integers(2, 40)


@given(moduli)
def test_every_question_is_asked_once(modulus: int) -> None:
    asked = [tuple(pair) for pair in modular.questions(modulus).tolist()]
    assert asked == [(a, b) for a in range(modulus) for b in range(modulus)]


@given(moduli)
def test_answers_are_sums_and_each_is_as_frequent(modulus: int) -> None:
    pairs = modular.questions(modulus)
    found = modular.answers(pairs, modulus)
    assert found.tolist() == [(a + b) % modulus for a, b in pairs.tolist()]
    assert torch.bincount(found).tolist() == [modulus] * modulus


@given(moduli)
def test_half_of_the_questions_train(modulus: int) -> None:
    chosen = modular.is_training(modulus)
    assert len(chosen) == modulus**2
    assert int(chosen.sum()) == modulus**2 // 2
    assert torch.equal(chosen, modular.is_training(modulus))


def test_the_split_of_the_paper_is_fixed() -> None:
    chosen = modular.is_training()
    assert len(modular.questions()) == 2_809
    assert int(chosen.sum()) == 1_404
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        assert torch.equal(chosen, modular.is_training())
        torch.manual_seed(42)
        order = torch.randperm(2_809)
    assert chosen[order[:1_404]].all()
    assert not chosen[order[1_404:]].any()


def test_the_split_looks_at_no_number() -> None:
    # Of each answer about half trains: 26.5 of 53, with a standard deviation of 3.6.
    sums = modular.answers(modular.questions())
    counts = torch.bincount(sums[modular.is_training()], minlength=53)
    assert int(counts.min()) >= 26.5 - 4 * 3.6
    assert int(counts.max()) <= 26.5 + 4 * 3.6
