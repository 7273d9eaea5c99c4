"""What a claim may ask of a suite, as an abstract class."""

from abc import ABC
from typing import ClassVar


class Capability(ABC):
    """Something that a suite has, or that a provider makes for it; see `Suite.get`."""

    what: ClassVar[str]
    """In words, for the message where a suite lacks it: `models of a Markov chain`."""
