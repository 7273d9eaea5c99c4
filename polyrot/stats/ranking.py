"""How well a score ranks one class above another."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats


def area_under_curve(
    scores: Float[np.ndarray, " item"], positive: Bool[np.ndarray, " item"]
) -> float:
    """Compute the area under the ROC curve: how likely a positive item outranks a negative one.

    Args:
        scores: higher for items more likely to be positive.
        positive: which items are positive.

    Raises:
        ValueError: where either class is empty, or a score is not a number.

    Notes:
        Mann-Whitney's statistic; a tie counts one half.  Scores that are all the same give 0.5,
        a reversed ranking 0.

    >>> area_under_curve(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    0.875
    """
    if np.isnan(scores).any():
        raise ValueError("Expected scores to be numbers but some are not")
    count, others = int(positive.sum()), int((~positive).sum())
    if not (count and others):
        raise ValueError(
            f"Expected items of both classes but got {count} positive and {others} negative"
        )
    ranks = stats.rankdata(scores)
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))
