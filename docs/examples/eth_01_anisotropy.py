"""ETH-01: the residual stream is anisotropic.

"How Contextual are Contextualized Word Representations?" (Ethayarajh 2019,
doi:10.18653/v1/D19-1006): behind every block two random tokens have a cosine far above 0,
which it would be on average were directions uniform.
"""

import pytest
from torch.nn.functional import normalize

from polyrot.capabilities import controls as worlds
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.run import Judge


def centred(pair: Pair) -> Pair:
    return pair.with_target(pair.target - pair.target.mean(0))


def cone(pair: Pair) -> Pair:
    return pair.with_target(worlds.noise_clouds(pair).target + 1)


CLAIM = Claim("ETH-01", "The residual stream is anisotropic", "doi:10.18653/v1/D19-1006")
BAR = Bar.above(0.1, "mean cosine of two tokens")
CONTROLS = negative("noise", worlds.noise_clouds), negative("centred", centred)
MEASURED = Measurement(CLAIM, BAR, (*CONTROLS, positive("cone", cone)))


def mean_cosine(pair: Pair) -> float:
    directions, n = normalize(pair.target.double()), len(pair.target)
    return float((directions.sum(0).square().sum() - n) / (n * (n - 1)))


@pytest.mark.measurement(MEASURED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(lambda world=as_trained: suite.each_site(mean_cosine, world))
