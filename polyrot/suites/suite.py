"""A suite: a name, seeds, and the capabilities it provides."""

from typing import TypeVar

from polyrot.errors import NotRun
from polyrot.suites.capability import Capability

Asked = TypeVar("Asked", bound=Capability)


class Suite:
    """Seeds that should compute the same function."""

    def __init__(self, name: str, seeds: tuple[int, ...]) -> None:
        self.name = name
        self.seeds = seeds
        self._provided: dict[type[Capability], Capability] = {}

    def get(self, capability: type[Asked]) -> Asked:
        """Return a capability that a claim requests.

        That is the suite itself if its class inherits the capability, otherwise an object that an
        experiment's provider makes, once for each suite.

        Args:
            capability: a subclass of `Capability`, for example
                `polyrot.experiments.chains.models.Chains`.

        Raises:
            NotRun: if the suite does not have it; the message names the suites that do.

        >>> import polyrot
        >>> from polyrot.capabilities.streams import Streams
        >>> polyrot.load_suite("dyck3").get(Streams).late_site
        'resid_post.1'
        """
        if isinstance(self, capability):
            return self
        if capability not in self._provided:
            self._provided[capability] = self._made(capability)
        made = self._provided[capability]
        assert isinstance(made, capability)
        return made

    def _made(self, capability: type[Capability]) -> Capability:
        # Imported here, because kinds of experiments import suites.
        from polyrot.suites import registry

        made = registry.provided(self, capability)
        if made is None:
            raise self.lacks(capability.what, registry.suites_with(capability))
        return made

    def lacks(self, what: str, elsewhere: tuple[str, ...] = ()) -> NotRun:
        """Return an error that names what the suite lacks, and the suites that have it."""
        where = f"; run it with --suite {' or '.join(elsewhere)}" if elsewhere else ""
        return NotRun(f"{self.name} has no {what}{where}")

    def index(self, seed: int) -> int:
        """Return the position of a seed in the suite's stacks."""
        return self.seeds.index(seed)

    def seed_pairs(self, *, anchored: bool = False, ordered: bool = True) -> list[tuple[int, int]]:
        """List pairs of different seeds: ordered, unordered or, `anchored`, from the first seed.

        Raises:
            NotRun: if there is only one seed.
        """
        if len(self.seeds) < 2:
            raise NotRun(f"{self.name} has only one seed, and this compares seeds; give it another")
        sources = self.seeds[:1] if anchored else self.seeds
        return [
            (source, target)
            for source in sources
            for target in self.seeds
            if source != target and (ordered or source < target)
        ]
