"""ETH-01: the residual stream is anisotropic.

"How Contextual are Contextualized Word Representations?" (Ethayarajh 2019,
doi:10.18653/v1/D19-1006): at every site of the suite, the mean cosine of two random tokens is far
above 0; it would be 0 if directions were uniform.
"""

import pytest
from torch.nn.functional import normalize

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import Bar, ByPart, Claim, Curve, Judge, Measurement, Role, negative, positive


def centred(pair: Pair) -> Pair:
    return pair.with_target(pair.target - pair.target.mean(0))


def cone(pair: Pair) -> Pair:
    return pair.with_target(controls.noise_clouds(pair).target + 1)


CLAIM = Claim("ETH-01", "The residual stream is anisotropic", "doi:10.18653/v1/D19-1006")
BAR = Bar.above(0.1, "mean cosine of two tokens")
CONTROLS = negative("noise", controls.noise_clouds), negative("centred", centred)
MEASURED = Measurement(CLAIM, BAR, (*CONTROLS, positive("cone", cone)))
CURVES = Curve("models", Role.MODELS), Curve("centred", Role.NEGATIVE, "centred")
COSINES = ByPart("cosines", "By site", "Mean over pairs.", BAR.quantity, CURVES, bar=BAR)


def mean_cosine(pair: Pair) -> float:
    directions, n = normalize(pair.target.double()), len(pair.target)
    return float((directions.sum(0).square().sum() - n) / (n * (n - 1)))


@pytest.mark.measurement(MEASURED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(lambda world=as_trained: streams.each_site(mean_cosine, world), figures=[COSINES])
