"""Every synthetic world by name, whatever it is made of."""

from collections.abc import Callable

from polyrot.experiments.addition.worlds import (
    ADDITION_WORLDS,
    DELAY_WORLDS,
    AdditionWorld,
    DelayWorld,
)
from polyrot.experiments.agreement.worlds import VERB_WORLDS, VerbWorld
from polyrot.experiments.chains.worlds import CHAIN_WORLDS, ChainWorld
from polyrot.experiments.planted.worlds import (
    DICTIONARY_WORLDS,
    POINT_WORLDS,
    SAMPLE_WORLDS,
    DictionaryWorld,
    PointWorld,
    SampleWorld,
)
from polyrot.experiments.synthetic.worlds import ACTIVATION_WORLDS, WorldSuite
from polyrot.suites.names import world_name
from polyrot.suites.suite import Suite

WORLDS = (
    *ACTIVATION_WORLDS,
    *CHAIN_WORLDS,
    *ADDITION_WORLDS,
    *DELAY_WORLDS,
    *VERB_WORLDS,
    *POINT_WORLDS,
    *DICTIONARY_WORLDS,
    *SAMPLE_WORLDS,
)


def load_world(
    world: str,
    draw: int = 0,
    *,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> Suite:
    """Make a random draw of a world of `WORLDS`."""
    if world in ACTIVATION_WORLDS:
        return WorldSuite(world, draw=draw, progress=progress)
    if world in CHAIN_WORLDS:
        return ChainWorld(world, draw=draw)
    if world in ADDITION_WORLDS:
        return AdditionWorld(world, draw=draw)
    if world in DELAY_WORLDS:
        return DelayWorld(world, draw=draw)
    if world in POINT_WORLDS:
        return PointWorld(world, draw=draw)
    if world in DICTIONARY_WORLDS:
        return DictionaryWorld(world, draw=draw)
    if world in SAMPLE_WORLDS:
        return SampleWorld(world, draw=draw)
    return VerbWorld(world, draw=draw)


def parse_world(name: str) -> tuple[str, int] | None:
    """Read a world and its draw from the name of a suite; None where it is no world's."""
    prefix, _, rest = name.partition(":")
    world, _, draw = rest.partition(":")
    number = int(draw) if draw.isdecimal() else 0
    known = prefix == "world" and world in WORLDS and world_name(world, number) == name
    return (world, number) if known else None
