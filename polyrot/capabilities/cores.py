"""The algorithmic core of every model, at the site where it is extracted."""

from abc import abstractmethod

from polyrot.capabilities.pairs import Pair
from polyrot.capabilities.streams import Streams
from polyrot.cores.comparison import Basis, overlap
from polyrot.cores.extraction import Core, extract
from polyrot.cores.gramians import Tail


class Cores(Streams):
    """Models whose cores can be extracted."""

    what = "models whose cores can be extracted"

    def __init__(self, name: str, seeds: tuple[int, ...], sites: tuple[str, ...]) -> None:
        super().__init__(name, seeds, sites)
        self._cores: dict[int, Core] = {}

    @property
    def core_site(self) -> str:
        """Where cores are extracted: the layers after it act on every token separately."""
        return self.late_site

    @abstractmethod
    def tail(self, seed: int) -> Tail:
        """The rest of a model from `core_site`, to all of its logits."""

    def core(self, seed: int) -> Core:
        """Extract the core of a model at `core_site` from the tokens that are not held out."""
        if seed not in self._cores:
            x = self.activations.at(self.core_site)[self.index(seed), ~self.held_out]
            self._cores[seed] = extract(x, self.tail(seed))
        return self._cores[seed]


def core_overlaps(pair: Pair, source: Basis, target: Basis) -> dict[str, float]:
    """How close the rotation brings the target's core to the source's."""
    return {
        "mean rank of the core": float(source.shape[1]),
        "mean overlap of cores as they are": overlap(target, source),
        "mean overlap of cores once carried": overlap(pair.alignment.rotation.mT @ target, source),
        "mean overlap by chance": (source.shape[1] * target.shape[1]) ** 0.5 / pair.d_model,
    }
