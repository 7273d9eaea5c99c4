"""Steering language models: vectors from contrasting texts, with effects on next tokens.

A vector is the difference of the mean activations over two classes of texts.  Two effects are
measured, on other texts of the class it points away from: the signed change of the logit margin
(the mean logit of tokens typical of the one class minus that of tokens typical of the other), and
the drop in the accuracy of next-token predictions.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polyrot.capabilities.steering import ALPHAS, Steered, Vectors
from polyrot.errors import NotRun
from polyrot.experiments.language.activations import read_sites
from polyrot.experiments.language.checkpoints import check_tokens
from polyrot.experiments.language.contrasts import TextContrast, Texts, load_contrasts
from polyrot.interventions.edit import adding
from polyrot.interventions.steering import Effects
from polyrot.linalg import haar
from polyrot.suites.draws import draw_seed

if TYPE_CHECKING:
    from polyrot.experiments.language.suite import LanguageSuite

DIVERGENCE_SEQUENCES = 64
"""The paper's number."""
BATCH = 32
LOGITS = 2**24
"""Limit on the float64 logits that a divergence holds at a time, for each of two runs."""


@dataclass(frozen=True, eq=False)
class TextSteered(Steered):
    """A suite's language models, or images of one of them in other bases."""

    suite: "LanguageSuite"
    concepts: list[TextContrast]
    site: str
    activations: Float[Tensor, "seed token d_model"]
    """Activations of the suite's models, even if these are images."""
    source: int | None = None
    """Position of the model whose images these are."""
    bases: Float[Tensor, "seed d_model d_model"] | None = None
    """Bases of the images: each image's residual stream is the source's times its basis."""

    @classmethod
    def of(cls, suite: "LanguageSuite", site: str) -> "TextSteered":
        """Steer a suite's models at a site."""
        held_out = suite.held_out.view(len(suite.data.analysis), -1)[:, 0]
        concepts = load_contrasts(
            suite.file.steering,
            suite.base,
            suite.tokenizer(),
            seen=suite.data.analysis[~held_out],
        )
        return cls(suite, concepts, site, suite.activations.at(site))

    def concept_vectors(self, concept: TextContrast, *, held_out: bool) -> Vectors:
        return torch.stack(
            [
                self._turned(
                    _difference(self.suite, self._seed(i), self.site, concept, held_out), i
                )
                for i in range(len(self.activations))
            ]
        )

    def effects(
        self,
        vectors: Vectors,
        concept: TextContrast,
        alphas: tuple[float, ...],
        *,
        held_out: bool,
    ) -> Effects:
        drops, margins = zip(
            *(
                _effect(
                    self.suite,
                    self._seed(i),
                    self.site,
                    self._turned(vector, i, back=True).double().numpy().tobytes(),
                    concept,
                    alphas,
                    held_out,
                )
                for i, vector in enumerate(vectors)
            ),
            strict=True,
        )
        return Effects(_by_dose(drops), _by_dose(margins))

    def divergences(self, vectors: Vectors) -> Float[Tensor, "alpha seed"]:
        tokens = self.suite.data.analysis[:DIVERGENCE_SEQUENCES]
        columns = []
        for i, vector in enumerate(vectors):
            model = self.suite.language_model(self._seed(i))
            turned = self._turned(vector, i, back=True)
            columns.append(_divergences(model, self.site, turned, tokens))
        return torch.stack(columns, dim=-1)

    def images(self, source: int) -> "TextSteered":
        d = self.activations.shape[-1]
        bases = torch.stack(
            [
                haar.sample(d, group="SO", seed=draw_seed(source, target, 32))
                for target in range(len(self.activations))
            ]
        )
        return TextSteered(self.suite, self.concepts, self.site, self.activations, source, bases)

    def activations_of(self, index: int) -> Float[Tensor, "token d_model"]:
        if self.bases is None or self.source is None:
            return self.activations[index]
        # Computed on demand: activations of every image of every model would fill the memory.
        return (self.activations[self.source].double() @ self.bases[index]).float()

    def _seed(self, index: int) -> int:
        return self.suite.seeds[index if self.source is None else self.source]

    def _turned(self, vector: Tensor, index: int, *, back: bool = False) -> Tensor:
        """Map a vector from the basis of the running model into that of its image, or back."""
        if self.bases is None:
            return vector
        return vector @ (self.bases[index].mT if back else self.bases[index])


def _by_dose(of_models: Sequence[Sequence[float]]) -> Float[Tensor, "alpha seed"]:
    return torch.tensor(of_models, dtype=torch.float64).mT


def steered_models(suite: "LanguageSuite") -> TextSteered:
    """Steer a suite's models, by the contrasts that its file names.

    Raises:
        NotRun: if the file names none, or a token is not in a model's vocabulary.
    """
    if not (suite.file.steering.contrasts or suite.file.steering.own):
        raise NotRun("steering: the suite file names no contrast in contrasts or own")
    steered = TextSteered.of(suite, suite.steering_site)
    for checkpoint in suite.checkpoints:
        for concept in steered.concepts:
            typical = torch.stack(concept.typical)
            for tokens in (concept.toward.tokens, concept.away.tokens, typical):
                check_tokens(checkpoint, tokens, f"steering {concept.name}")
    return steered


@lru_cache(maxsize=256)
def _difference(
    suite: "LanguageSuite", seed: int, site: str, concept: TextContrast, held_out: bool
) -> Float[Tensor, " d_model"]:
    model = suite.language_model(seed)
    means = []
    for texts in (concept.toward, concept.away):
        chosen = ~texts.scored if held_out else torch.ones_like(texts.scored)
        tokens, real = texts.tokens[chosen], texts.real[chosen]
        x = read_sites(model, tokens, [site])[site]
        means.append(x[real].double().mean(0))
    return means[0] - means[1]


@lru_cache(maxsize=4096)  # many trials of a claim share the effect of a vector on a model
def _effect(
    suite: "LanguageSuite",
    seed: int,
    site: str,
    vector: bytes,
    concept: TextContrast,
    alphas: tuple[float, ...],
    held_out: bool,
) -> tuple[list[float], list[float]]:
    """Measure, by dose, the drop in accuracy and the change of the margin."""
    texts, model = concept.away, suite.language_model(seed)
    chosen = texts.scored if held_out else torch.ones_like(texts.scored)
    right, margin = _clean(suite, seed, concept, held_out)
    direction = torch.frombuffer(bytearray(vector), dtype=torch.float64)
    read = [_read(model, site, alpha * direction, texts, chosen, concept) for alpha in alphas]
    return [right - steered for steered, _ in read], [steered - margin for _, steered in read]


@lru_cache(maxsize=256)
def _clean(
    suite: "LanguageSuite", seed: int, concept: TextContrast, held_out: bool
) -> tuple[float, float]:
    texts = concept.away
    chosen = texts.scored if held_out else torch.ones_like(texts.scored)
    return _read(suite.language_model(seed), "", None, texts, chosen, concept)


def _read(
    model: nn.Module,
    site: str,
    vector: Tensor | None,
    texts: Texts,
    chosen: Tensor,
    concept: TextContrast,
) -> tuple[float, float]:
    """Measure next-token accuracy and the logit margin over the chosen texts."""
    tokens, real = texts.tokens[chosen], texts.real[chosen]
    right = margin = 0.0
    for ids, there in zip(tokens.split(BATCH), real.split(BATCH), strict=True):
        logits = _logits(model, site, vector, ids)
        followed = there[:, 1:]
        predicted = logits[:, :-1].argmax(-1) == ids[:, 1:]
        right += float((predicted & followed).sum())
        up, down = (logits[..., which].double().mean(-1) for which in concept.typical)
        margin += float((up - down)[there].sum())
    return right / float(real[:, 1:].sum()), margin / float(real.sum())


def _divergences(model: Any, site: str, vector: Tensor, tokens: Tensor) -> Float[Tensor, " alpha"]:
    totals = torch.zeros(len(ALPHAS), dtype=torch.float64)
    most = LOGITS // (tokens.shape[1] * int(model.config.vocab_size))
    for ids in tokens.split(min(BATCH, max(1, most))):
        clean = _logits(model, site, None, ids).double().log_softmax(-1)
        for i, alpha in enumerate(ALPHAS):
            steered = _logits(model, site, alpha * vector, ids).double().log_softmax(-1)
            totals[i] += (clean.exp() * (clean - steered)).sum()
    return totals / tokens.numel()


def _logits(model: nn.Module, site: str, vector: Tensor | None, ids: Tensor) -> Tensor:
    parameter = next(model.parameters())
    ids = ids.to(parameter.device)
    with torch.inference_mode():
        steered = nullcontext() if vector is None else adding(model, site, vector.to(parameter))
        with steered:
            logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits.float().cpu()
