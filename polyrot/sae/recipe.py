"""What determines an autoencoder, apart from its activations."""

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from polyrot.sae.activations import GroupTopK, ReLU, TopK


@dataclass(frozen=True)
class BatchTopK:
    """Keep the largest features of a whole batch, `k` per token on average.

    Tokens differ in their number of active features (Bussmann et al. 2024, arXiv 2412.06410).
    With `prefixes` the loss is the mean over nested dictionaries, each made of the first
    features up to that share of all (Matryoshka: Bussmann et al. 2025, arXiv 2503.17547).  The
    result is a `JumpReLU` with a single threshold, the mean over batches of the smallest
    feature kept.
    """

    k: int
    prefixes: tuple[float, ...] = (1.0,)
    rank: ClassVar[int] = 1

    def check(self, features: int) -> None:
        """Raise ValueError where the rule does not fit this number of features."""
        TopK(self.k).check(features)
        shares = self.prefixes
        if not shares or shares[-1] != 1 or any(not 0 < s <= 1 for s in shares):
            raise ValueError(f"Expected prefixes within (0, 1] that end at 1 but got {shares}")
        if list(shares) != sorted(set(shares)):
            raise ValueError(f"Expected prefixes that increase but got {shares}")


@dataclass(frozen=True)
class LearnedThresholds:
    """Train a `JumpReLU`: a penalty on the number of active features moves every threshold.

    The loss is the mean squared error plus `l0` times the mean number of active features; both
    jumps are differentiated through a kernel of width `bandwidth` (Rajamanoharan et al. 2024, arXiv
    2407.14435).  Thresholds start at `start`.
    """

    l0: float
    bandwidth: float = 0.05
    start: float = 0.01
    rank: ClassVar[int] = 1

    def check(self, features: int) -> None:
        """Accept any number of features."""
        for name in ("bandwidth", "start"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Expected {name} > 0 but got {getattr(self, name)}")


Rule = ReLU | TopK | GroupTopK | BatchTopK | LearnedThresholds
"""How a training chooses the active features."""

LATER = ("columns", "nuclear", "nuclear_of", "auxiliary", "dead_after", "decay")
"""Fields that recipes did not have when the first autoencoders were kept."""


@dataclass(frozen=True)
class SAEConfig:
    """What determines an autoencoder, apart from its activations.

    Args:
        expansion: features per dimension of the activations.
        columns: number of features, if it is not a multiple of the dimensions; 0 leaves it to
            `expansion`.
        l1: for ReLU, the penalty on the sum of the features; other rules ignore it.
        steps, batch, learning_rate: those of Adam; a batch is drawn with replacement.
        seed: seed of the untrained weights and of the batches.
        activation: the rule that chooses the active features.
        nuclear: for GroupTopK, the coefficient of the mean nuclear norm of the groups, against the
            squared error summed over dimensions (arXiv 2606.06333).
        nuclear_of: the matrix of the norm: a group's decoder rows, or its map from activations
            to activations.
        auxiliary: number of dead features that reconstruct the residual of a token (Gao et
            al. 2024, arXiv 2406.04093); 0 for none.
        dead_after: inactive steps after which a feature, or all of a group, is dead.
        decay: share of the steps, at the end, in which the learning rate falls linearly to 0.
    """

    expansion: int = 8
    l1: float = 1e-3
    steps: int = 4_000
    batch: int = 4_096
    learning_rate: float = 5e-4
    seed: int = 0
    activation: Rule = ReLU()
    nuclear: float = 0.0
    nuclear_of: Literal["decoder", "composition"] = "decoder"
    auxiliary: int = 0
    dead_after: int = 100
    decay: float = 0.0
    columns: int = 0

    def __post_init__(self) -> None:
        if self.nuclear and not isinstance(self.activation, GroupTopK):
            raise ValueError(
                f"Expected nuclear=0 without groups but got nuclear={self.nuclear} with "
                f"{self.activation}; use activation=GroupTopK(groups, rank)"
            )
        if self.auxiliary and isinstance(self.activation, ReLU | LearnedThresholds):
            raise ValueError(
                f"Expected auxiliary=0 with {self.activation} but got {self.auxiliary}; TopK, "
                "GroupTopK and BatchTopK have an auxiliary loss"
            )
        if not 0 <= self.decay <= 1:
            raise ValueError(f"Expected decay in [0, 1] but got {self.decay}")

    def features(self, d_model: int) -> int:
        """Number of features for activations of `d_model` dimensions."""
        return self.columns or self.expansion * d_model

    def recipe(self) -> dict[str, Any]:
        """Express the recipe in plain values, for files and cache keys.

        Fields later than the first recipes are omitted at their defaults, so what was cached
        before is found.
        """
        later = {f.name: f.default for f in fields(self) if f.name in LATER}
        recipe = {n: v for n, v in asdict(self).items() if n not in later or v != later[n]}
        del recipe["activation"]
        if not isinstance(self.activation, ReLU):
            kind = type(self.activation).__name__
            recipe["activation"] = {"kind": kind, **asdict(self.activation)}
        return recipe
