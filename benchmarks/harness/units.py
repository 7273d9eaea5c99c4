"""Numbers as a table shows them."""

import math


def seconds(value: float) -> str:
    """Three digits and a unit.

    >>> seconds(0.00412), seconds(61.04)
    ('4.12 ms', '61.0 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * scale >= 1:
            return f"{digits(value * scale)} {unit}"
    return f"{digits(value * 1e9)} ns"


def size(value: float) -> str:
    """Bytes in a binary unit.

    >>> size(3 * 2**20)
    '3.00 MiB'
    """
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= scale:
            return f"{digits(value / scale)} {unit}"
    return f"{value:.0f} B"


def digits(value: float) -> str:
    """Three digits, and no more places than that.

    >>> digits(0.1234), digits(12.345), digits(1234.5)
    ('0.123', '12.3', '1234')
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:.0f}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"


def ratio(value: float) -> str:
    """A ratio with its sign of multiplication.

    >>> ratio(15.23), ratio(1.02)
    ('15.2x', '1.02x')
    """
    return f"{digits(value)}x"


def error(value: float) -> str:
    """Its order of magnitude where it is small.

    >>> error(3.2e-13), error(1.234)
    ('3e-13', '1.23')
    """
    return digits(value) if value >= 0.01 else f"{value:.0e}"
