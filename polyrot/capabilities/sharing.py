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
            what = "share their embedding and unembeddings" if shared_io else "share nothing"
            name = "dyck3" if shared_io else "dyck3-independent"
            raise NotRun(f"the claim is about seeds that {what}; run it with --suite {name}")
