"""A group SAE and a TopK SAE of one model at equal budget, and the words to probe them on."""

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

SUBSPACES, COLUMNS = "group SAE", "TopK"
"""The arms: a group SAE, and a TopK SAE of the same width with equally many active latents."""

LEAST_F1 = 0.6
"""Least F1 of a letter's probe on raw activations; SAEBench leaves out letters below it."""
LEAST_WORDS = 20
"""Least number of scored words per letter: with fewer, shares of them are mostly noise."""
LEAST_LETTERS = 8
Read = Callable[[SAE, Float[Tensor, "token d_model"]], Units]
"""Reads the units of an SAE: `Units.columns` or `Units.groups`."""


@dataclass(frozen=True, eq=False)
class Words:
    """Activations of a model at the tokens that begin words, and the words' first letters.

    Probes are fitted on words that autoencoders may have seen in training; everything is scored on
    words that they have not seen.
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
        """Keep the tokens that begin a word; of those to fit, only the first `fit_words`."""
        begins_word = (fit_letters != NO_WORD).nonzero()[:fit_words, 0]
        others = letters != NO_WORD
        return cls(fit[begins_word], fit_letters[begins_word], scored[others], letters[others])

    @cached_property
    def probes(self) -> dict[int, Probe]:
        """Probes on raw activations by letter, for letters with a sufficient F1.

        Raises:
            NotRun: if there are too few such letters.
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
                f"probes read {len(found)} first letters of words but {LEAST_LETTERS} are "
                "needed; give more text as tokens.sequences, or another dictionaries.site"
            )
        return found

    def absorption(self, sae: SAE, read: Read) -> dict[int, Absorption]:
        """Measure the absorption of every letter that has a probe."""
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
    """The two arms of one model, with the activations to measure them on.

    Args:
        words: to probe them on.
        x: activations that no autoencoder has seen, `[token, d_model]`.
        load: returns the autoencoder of an arm, trained on all tokens or on half of them.
        draw: seed of random worlds, different for every model of a suite.
    """

    words: Words
    x: Float[Tensor, "token d_model"]
    load: Callable[[str, bool], SAE]
    draw: int = 0

    def sae(self, arm: str, *, half: bool = False) -> SAE:
        """Return the SAE of `SUBSPACES` or `COLUMNS`, trained on all or half of the tokens."""
        return self.load(arm, half)

    def ev(self, arm: str, *, half: bool = False) -> float:
        """Measure the explained variance on unseen tokens; see `sae.metrics.ev`."""
        return _explained(self.sae(arm, half=half), self.x)

    def absorption(self, arm: str, read: Read) -> dict[str, float]:
        """Average an arm's absorption figures over letters, with equal weights."""
        return _averaged(self.words, self.sae(arm), read)


# Cached, because worlds change only one arm, and the other need not be measured again.
@lru_cache(maxsize=64)
def _explained(sae: SAE, x: Tensor) -> float:
    return ev(reconstruct(sae, x), x)


@lru_cache(maxsize=64)
def _averaged(words: Words, sae: SAE, read: Read) -> dict[str, float]:
    found = words.absorption(sae, read).values()
    return {
        "absorption fraction": mean(of_letter.fraction for of_letter in found),
        "full absorption": mean(of_letter.full for of_letter in found),
        "split features": mean(of_letter.splits for of_letter in found),
        "F1 of the main units": mean(of_letter.f1 for of_letter in found),
        "letters": float(len(found)),
    }


class Budgets(Capability):
    """Group and TopK autoencoders at equal budget, by the unit of replication."""

    what = "group and TopK autoencoders at equal budget"

    @property
    @abstractmethod
    def budgets(self) -> Mapping[int, MatchedDictionaries]:
        """By seed, or by SAE seed if there is only one model."""
