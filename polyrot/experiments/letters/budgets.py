"""Two dictionaries of one model at one budget, and the words that they are asked about."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import mean

from jaxtyping import Float, Int
from torch import Tensor

from polyrot.errors import NotRun
from polyrot.sae.absorption import Absorption, Units, absorption
from polyrot.sae.logistic import Probe, f1, fit_probe
from polyrot.sae.metrics import ev, reconstruct
from polyrot.sae.model import SAE
from polyrot.suites.capability import Capability
from polyrot.tasks.letters import LETTERS, NO_WORD

SUBSPACES, COLUMNS = "subspaces", "single columns"
"""The arms: GroupTopK, and TopK with as many columns and as many of them on."""

LEAST_F1 = 0.6
"""Of a letter's probe on raw activations: SAEBench leaves letters out that it reads less well."""
LEAST_WORDS = 20
"""With a letter, of the scored ones: fewer would make a share of them a coin's toss."""
LEAST_LETTERS = 8
Read = Callable[[SAE, Float[Tensor, "token d_model"]], Units]
"""What the units of a dictionary are: `Units.columns` or `Units.groups`."""


@dataclass(frozen=True, eq=False)
class Words:
    """Activations of a model at the tokens that begin words, and the letters of those.

    Probes are fitted on some, which autoencoders may have seen, and everything is scored on
    others, which they have not.
    """

    fit: Float[Tensor, "fit d_model"]
    fit_letters: Int[Tensor, " fit"]
    scored: Float[Tensor, "word d_model"]
    letters: Int[Tensor, " word"]

    @classmethod
    def among(
        cls,
        fit: Float[Tensor, "fit d_model"],
        fit_letters: Int[Tensor, " fit"],
        scored: Float[Tensor, "token d_model"],
        letters: Int[Tensor, " token"],
        *,
        fit_words: int,
    ) -> "Words":
        """Keep the tokens that begin a word; of those to fit, the first so many."""
        own = (fit_letters != NO_WORD).nonzero()[:fit_words, 0]
        others = letters != NO_WORD
        return cls(fit[own], fit_letters[own], scored[others], letters[others])

    @cached_property
    def probes(self) -> dict[int, Probe]:
        """By letter: the probe on raw activations, where it reads the letter well.

        Raises:
            NotRun: where too few letters are read.
        """
        found = {}
        for letter in range(len(LETTERS)):
            yes, fit_yes = self.letters == letter, self.fit_letters == letter
            if int(yes.sum()) < LEAST_WORDS or not bool(fit_yes.any()):
                continue
            probe = fit_probe(self.fit, fit_yes)
            if f1(probe(self.scored), yes) > LEAST_F1:
                found[letter] = probe
        if len(found) < LEAST_LETTERS:
            raise NotRun(
                f"a probe reads {len(found)} first letters of words and {LEAST_LETTERS} are "
                "needed; give more text as tokens.sequences, or another dictionaries.site"
            )
        return found

    def absorption(self, sae: SAE, read: Read) -> dict[int, Absorption]:
        """Ask a dictionary about every letter that the probes read."""
        fit, scored = read(sae, self.fit), read(sae, self.scored)
        result = {}
        for letter, probe in self.probes.items():
            yes = self.letters == letter
            right = yes & probe(self.scored)
            answers = self.fit_letters == letter
            result[letter] = absorption(fit, answers, scored, yes, right, probe.weight)
        return result


@dataclass(frozen=True, eq=False)
class MatchedDictionaries:
    """The arms of one model, and what they are measured on.

    Args:
        words: to ask them about.
        x: activations that no autoencoder has seen, `[token, d_model]`.
        load: the autoencoder of an arm, trained on all tokens or on half of them.
        draw: for worlds that are drawn, a number that no other model of a suite has.
    """

    words: Words
    x: Float[Tensor, "token d_model"]
    load: Callable[[str, bool], SAE]
    draw: int = 0

    def sae(self, arm: str, *, half: bool = False) -> SAE:
        """Take the autoencoder of `SUBSPACES` or `COLUMNS`, or that of half the tokens."""
        return self.load(arm, half)

    def ev(self, arm: str, *, half: bool = False) -> float:
        """Explained variance of tokens that no autoencoder has seen; see `sae.metrics.ev`."""
        return _explained(self.sae(arm, half=half), self.x)

    def absorption(self, arm: str, read: Read) -> dict[str, float]:
        """Average what an arm makes of letters over those: each counts the same."""
        return _averaged(self.words, self.sae(arm), read)


# Worlds change one arm and leave the other: what was measured of it is not measured again.
@lru_cache(maxsize=64)
def _explained(sae: SAE, x: Tensor) -> float:
    return ev(reconstruct(sae, x), x)


@lru_cache(maxsize=64)
def _averaged(words: Words, sae: SAE, read: Read) -> dict[str, float]:
    found = words.absorption(sae, read).values()
    return {
        "absorption fraction": mean(own.fraction for own in found),
        "full absorption": mean(own.full for own in found),
        "split features": mean(own.splits for own in found),
        "F1 of the main units": mean(own.f1 for own in found),
        "letters": float(len(found)),
    }


class Budgets(Capability):
    """Group and TopK autoencoders at one budget, by the unit of replication."""

    what = "group and TopK autoencoders at one budget"

    @property
    @abstractmethod
    def budgets(self) -> Mapping[int, MatchedDictionaries]:
        """By seed, or by SAE seed where there is one model."""
