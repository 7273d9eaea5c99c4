"""Numbers as a reader sees them."""

import math

import pytest

from polyrot.report.words import number


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.123"),
        (1.241, "1.24"),
        (2.45e-6, "2.45e-06"),
        (0.99951, "0.99951"),  # an agreement just above a bar of 0.999 must not read 1
        (1.0003, "1.00030"),
        (0.995, "0.9950"),
        (1 - 1e-12, "1"),
        (1.0, "1"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_keeps_the_digits_that_decide(value: float, shown: str) -> None:
    assert number(value) == shown
