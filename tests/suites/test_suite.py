"""Pairs of a suite's seeds."""

import pytest

from polyrot.errors import NotRun
from polyrot.suites.suite import Suite


def test_pairs_are_ordered_unordered_or_from_the_first_seed() -> None:
    suite = Suite("toy", (3, 5, 9))
    assert suite.seed_pairs() == [(3, 5), (3, 9), (5, 3), (5, 9), (9, 3), (9, 5)]
    assert suite.seed_pairs(ordered=False) == [(3, 5), (3, 9), (5, 9)]
    assert suite.seed_pairs(anchored=True) == [(3, 5), (3, 9)]


@pytest.mark.parametrize("anchored", [False, True])
def test_one_seed_has_no_pairs_to_compare(anchored: bool) -> None:
    with pytest.raises(NotRun, match="toy has only one seed"):
        Suite("toy", (3,)).seed_pairs(anchored=anchored)
