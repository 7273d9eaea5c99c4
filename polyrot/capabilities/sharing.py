"""Whether seeds share their embedding and unembeddings."""

from abc import abstractmethod

from polyrot.errors import NotRun
from polyrot.suites.capability import Capability
from polyrot.suites.suite import Suite


class Sharing(Suite, Capability):
    """Models that are known to share, or not to share, their embedding and unembeddings."""

    what = "models whose embeddings can be compared"

    @property
    @abstractmethod
    def shares_io(self) -> bool:
        """Do the seeds share their embedding and unembeddings?"""

    def check_sharing(self, *, shared_io: bool) -> None:
        """Raise NotRun if the seeds share, or do not share, as a claim requires."""
        if self.shares_io != shared_io:
            what, these = "share their embedding and unembeddings", "share nothing"
            if not shared_io:
                what, these = these, what
            raise NotRun(f"the claim is about seeds that {what}; those of {self.name} {these}")
