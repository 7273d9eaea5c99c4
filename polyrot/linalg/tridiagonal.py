"""Eigenvalues of a stack of symmetric tridiagonal matrices, on several threads."""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float
from scipy import LowLevelCallable
from scipy.linalg import cython_lapack

THREADED = 128
"""Rows from which on a stack is divided among torch's number of threads."""


def _lapack_dsterf() -> Callable[..., None]:
    """Get SciPy's routine by its address: calls through ctypes release the interpreter's lock.

    `scipy.linalg.lapack.dsterf` holds it, so two threads take as long as one.
    """
    capsule = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    address = capsule(("PyCapsule_GetPointer", ctypes.pythonapi))
    routine = LowLevelCallable.from_cython(cython_lapack, "dsterf")
    pointer = address(routine.function, routine.signature.encode())
    integer = ctypes.POINTER(ctypes.c_int)
    return ctypes.CFUNCTYPE(None, integer, ctypes.c_void_p, ctypes.c_void_p, integer)(pointer)


_dsterf = _lapack_dsterf()


def eigenvalues(
    diagonal: Float[np.ndarray, "matrix n"], off_diagonal: Float[np.ndarray, "matrix n-1"]
) -> Float[np.ndarray, "matrix n"]:
    """Compute the eigenvalues `[matrix, n]`, ascending, by root-free QL iteration.

    Args:
        diagonal: diagonal of each matrix, `[matrix, n]`.
        off_diagonal: entries next to the diagonal, `[matrix, n - 1]`.

    Raises:
        numpy.linalg.LinAlgError: where the iteration does not converge, for example because
            entries are not finite.
    """
    # The routine overwrites both, and needs contiguous rows.
    values, work = (np.array(part, np.float64, order="C") for part in (diagonal, off_diagonal))
    count, n = values.shape
    row_bytes = values.strides[0], work.strides[0]

    def solve(rows: range) -> None:
        size, info = ctypes.c_int(n), ctypes.c_int()
        first = values.ctypes.data, work.ctypes.data
        for row in rows:
            _dsterf(size, first[0] + row * row_bytes[0], first[1] + row * row_bytes[1], info)
            if info.value:
                raise np.linalg.LinAlgError(
                    f"Expected the eigenvalues of matrix {row} to converge but {info.value} "
                    "did not; are its entries finite?"
                )

    threads = max(1, min(torch.get_num_threads(), count)) if n >= THREADED else 1
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(solve, (range(i, count, threads) for i in range(threads))))
    return values
