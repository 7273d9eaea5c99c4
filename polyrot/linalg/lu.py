"""Determinants and inverses of stacks of matrices, one matrix at a time on a CPU.

On CPUs torch distributes the matrices of a stack over several threads, in which MKL's LU is not
safe: from about 150 rows on, determinants and inverses are silently wrong once the number of
threads has been set (torch 2.5 to 2.13, https://github.com/pytorch/pytorch/issues/142815).
"""

import torch
from jaxtyping import Float
from torch import Tensor

Stack = Float[Tensor, "matrix d d"]


def determinants(stack: Stack) -> Float[Tensor, " matrix"]:
    """Compute the determinant of every matrix."""
    if stack.device.type != "cpu":
        found: Tensor = torch.linalg.det(stack)
        return found
    return torch.stack([torch.linalg.det(matrix) for matrix in stack])


def inverses(stack: Stack) -> Stack:
    """Invert every matrix; a singular one gives infinities."""
    if stack.device.type != "cpu":
        inverse, failed = torch.linalg.inv_ex(stack)
    else:
        one_by_one = [torch.linalg.inv_ex(matrix) for matrix in stack]
        inverse, failed = (torch.stack(parts) for parts in zip(*one_by_one, strict=True))
    inverse[failed != 0] = torch.inf
    found: Tensor = inverse
    return found
