"""What a claim may request of a suite, as an abstract class."""

from abc import ABC
from typing import ClassVar


class Capability(ABC):
    """Something that a suite offers, or that a provider makes for it; see `Suite.get`."""

    what: ClassVar[str]
    """Description for the message if a suite lacks it: `models of a Markov chain`."""
