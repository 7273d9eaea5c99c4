"""Learning-rate schedules."""

import math


def warm_up_then_cosine(
    step: int, steps: int, *, peak: float, warmup: int, final_fraction: float
) -> float:
    """Rise linearly to `peak` in `warmup` steps, then fall as a cosine to a fraction of it."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return peak * (final_fraction + (1 - final_fraction) * cosine)
