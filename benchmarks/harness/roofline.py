"""How far a kernel is from what the machine can do: operations, bytes, ceilings."""

from dataclasses import dataclass

from harness import units
from harness.rows import Ceilings, Row


@dataclass(frozen=True)
class Roofline:
    """A row beside the ceilings of its machine."""

    seconds: float
    """The least that the operations and the bytes of the job allow."""
    share: float
    """Of the time that was taken."""
    bound: str
    """What binds: `operations` or `bytes`."""
    operations_a_second: float
    bytes_a_second: float


def roofline(row: Row, ceilings: Ceilings) -> Roofline | None:
    """Compare a row with the ceilings; `None` where it does not say what its job needs."""
    if row.operations is None and row.bytes_moved is None:
        return None
    operations, moved = row.operations or 0.0, row.bytes_moved or 0.0
    computing = operations / getattr(ceilings, row.precision)
    moving = moved / ceilings.copy
    least = max(computing, moving)
    return Roofline(
        least,
        least / row.seconds,
        "operations" if computing >= moving else "bytes",
        operations / row.seconds,
        moved / row.seconds,
    )


def sentence(row: Row, ceilings: Ceilings) -> str:
    """Say in a line how far a row is from the ceilings."""
    found = roofline(row, ceilings)
    if found is None:
        return f"{row.contender}, {row.case}: no roofline is stated"
    return (
        f"{row.contender}, {row.case}: {units.digits((row.operations or 0) / 1e9)} GFLOP in "
        f"{row.precision} and {units.digits((row.bytes_moved or 0) / 1e9)} GB want "
        f"{units.seconds(found.seconds)} here ({found.bound} bind); took "
        f"{units.seconds(row.seconds)}, {found.share:.0%} of the ceiling "
        f"({units.digits(found.operations_a_second / 1e9)} GFLOP/s, "
        f"{units.digits(found.bytes_a_second / 1e9)} GB/s)"
    )


def ceilings_sentence(ceilings: Ceilings) -> str:
    """Say what the machine reached."""
    return (
        f"ceilings measured in this run: {units.digits(ceilings.float64 / 1e9)} GFLOP/s in a "
        f"float64 product, {units.digits(ceilings.float32 / 1e9)} in float32, "
        f"{units.digits(ceilings.copy / 1e9)} GB/s in a copy"
    )
