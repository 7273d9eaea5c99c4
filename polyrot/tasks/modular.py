"""Modular addition: the answer to `a + b` is `(a + b) mod p`.

All p^2 questions, split once by a fixed permutation (arXiv 2602.22600, released code: p = 53,
half of them for training, permutation from seed 42).
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

MODULUS = 53
SPLIT_SEED = 42


def questions(modulus: int = MODULUS) -> Int[Tensor, "question 2"]:
    """All pairs `(a, b)`, in order.

    >>> questions(3)[:4].tolist()
    [[0, 0], [0, 1], [0, 2], [1, 0]]
    """
    numbers = torch.arange(modulus)
    return torch.cartesian_prod(numbers, numbers)


def answers(pairs: Int[Tensor, "question 2"], modulus: int = MODULUS) -> Int[Tensor, " question"]:
    """The sum of each pair, modulo p.

    >>> answers(questions(3), 3).tolist()
    [0, 1, 2, 1, 2, 0, 2, 0, 1]
    """
    return pairs.sum(1) % modulus


def is_training(modulus: int = MODULUS) -> Bool[Tensor, " question"]:
    """Mark the training questions: half of them, the same for every model."""
    count = modulus**2
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[order[: count // 2]] = True
    return chosen
