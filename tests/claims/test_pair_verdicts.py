"""Both verdicts of every measurement on pairs of seeds are reached, by the claim's own code."""

from collections.abc import Callable
from functools import lru_cache, partial

import planted_pairs as planted
import pytest
import torch
from claim_runs import claim_module, measured
from planted_pairs import PlantedPairs
from scipy.linalg import fractional_matrix_power
from torch import Tensor

from polyrot.linalg import haar
from polyrot.suites.suite import Suite
from polyrot.verdict.judge import Verdict

HARDENED, PUBLISHED = "hardened", "published"
REPLICATED, REFUTED = Verdict.REPLICATED, Verdict.REFUTED
Make = Callable[[], Suite]


@lru_cache
def pairs(*arguments: object, **options: object) -> Suite:
    return PlantedPairs(*arguments, **options)


def less_turned_with_depth(site: str, x: Tensor) -> Tensor:
    """Half way through training: turned, at the last site by a smaller angle."""
    whole = haar.sample(x.shape[-1], group="SO", seed=0).numpy()
    share = 0.8 if site == "resid_mid.1" else 0.3
    return x @ torch.from_numpy(fractional_matrix_power(whole, share).real).float()


def more_turned_with_depth(site: str, x: Tensor) -> Tensor:
    """Of other tokens, and turned the more the deeper."""
    other = "resid_post.1" if site == "resid_mid.1" else "resid_mid.1"
    return less_turned_with_depth(other, x.flip(-2))


HAAR, WIDE = pairs, partial(pairs, width=64)
SAME = partial(pairs, planted.same)
BLOCKS = partial(pairs, planted.in_blocks, width=64)
UNRELATED = partial(pairs, fires=planted.of_other_tokens)
FAR_MEAN = partial(pairs, offset=3.0)
SAME_FAR_MEAN = partial(pairs, planted.same, offset=3.0)
BELOW_ZERO = partial(pairs, fires=planted.some_below_zero, noise=0.01)
REACHED: dict[tuple[str, str], tuple[Make | None, Make | None]] = {
    ("PIR-02", HARDENED): (HAAR, UNRELATED),
    ("PIR-02", PUBLISHED): (None, None),
    ("PIR-03", HARDENED): (HAAR, SAME),
    ("PIR-03", PUBLISHED): (FAR_MEAN, SAME_FAR_MEAN),
    ("PIR-04", HARDENED): (HAAR, BELOW_ZERO),
    ("PIR-04", PUBLISHED): (HAAR, BELOW_ZERO),
    ("PIR-05", HARDENED): (HAAR, UNRELATED),
    ("PIR-06", HARDENED): (HAAR, partial(pairs, planted.shrunk)),
    ("PIR-07", HARDENED): (HAAR, SAME),
    ("PIR-07", PUBLISHED): (HAAR, SAME),
    ("PIR-08", HARDENED): (WIDE, BLOCKS),
    ("PIR-08", PUBLISHED): (None, SAME),
    ("PIR-09", HARDENED): (WIDE, BLOCKS),
    ("PIR-10", HARDENED): (HAAR, SAME),
    ("PIR-10", PUBLISHED): (HAAR, SAME),
    ("PIR-14", HARDENED): (
        partial(pairs, fires=planted.of_other_tokens, half_way=less_turned_with_depth),
        partial(pairs, half_way=more_turned_with_depth),
    ),
    ("PIR-14", PUBLISHED): (
        partial(pairs, fires=planted.of_other_tokens, half_way=less_turned_with_depth),
        partial(pairs, half_way=more_turned_with_depth),
    ),
    ("PIR-22", HARDENED): (WIDE, BLOCKS),
    ("PIR-23", HARDENED): (HAAR, partial(pairs, fires=planted.some_dropped, noise=0.005, width=64)),
}
"""By measurement: a suite in which it is REPLICATED, and one in which it is REFUTED."""
CASES = [
    (id, which, verdict, make)
    for (id, which), suites in REACHED.items()
    for verdict, make in zip((REPLICATED, REFUTED), suites, strict=True)
    if make
]


@pytest.mark.parametrize(("id", "which", "verdict", "make"), CASES)
def test_a_verdict_is_reached_where_it_should_be(
    id: str, which: str, verdict: Verdict, make: Make
) -> None:
    record = measured(id, which, make(), drawn=False)
    assert record.verdict is verdict, record.reason


def test_a_verdict_that_is_not_reached_is_said_to_be_out_of_reach() -> None:
    for (id, which), suites in REACHED.items():
        said = getattr(claim_module(id), which.upper()).unreachable
        for verdict, make in zip((REPLICATED, REFUTED), suites, strict=True):
            assert (make is None) == (f"{verdict}:" in said), (id, which)
