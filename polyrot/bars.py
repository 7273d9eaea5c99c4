"""The paper's four bars: does a model equal a specification, in four senses?

arXiv 2605.24577 calls them pre-registered.  Each takes a stack of models and returns one number
a seed; the thresholds are the paper's.

| bar | what is compared | unit | met where |
|---|---|---|---|
| B, `behavioural` | answers with the algorithm's | nats, KL divergence | below 1e-4 |
| P, `parametric` | weights, up to their symmetries | squared weight, per entry | below 1e-3 |
| C, `causal` | effects of ablated components | Pearson's r | above 0.99 |
| Pr, `predictive` | losses with components ablated | Pearson's r | above 0.99 |
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.interventions.attribution import POINTS, integrated_gradients
from polyrot.interventions.effects import (
    Effects,
    ablation_effects,
    dyck_inputs,
    mean_loss,
    mean_outputs,
)
from polyrot.models.harvest import predict, real_labels
from polyrot.models.transformer import StackedTransformer
from polyrot.symmetry.search import align_weights
from polyrot.tasks import dyck
from polyrot.tasks.dyck import LabelledSequences

BEHAVIOURAL, PARAMETRIC, CAUSAL, PREDICTIVE = 1e-4, 1e-3, 0.99, 0.99
"""Published thresholds: below the first two, above the last two."""

SMOOTHING = 1e-6
"""Share of a label's probability that is spread over the other labels."""

MIX = {"short": 0.6, "compositional": 0.2, "long": 0.2}
"""Of what sequences the behavioural bar's batch is made."""

MEAN_SEQUENCES, EFFECT_SEQUENCES = 4_096, 256
"""Sequences that a component's mean is over, and those its effect is measured on."""

PerSeed = Float[Tensor, " seed"]


def specification(sequences: int = 4_096, *, seed: int = 1) -> LabelledSequences:
    """Draw the behavioural bar's batch: sequences of the published mix, and their true labels.

    Args:
        sequences: how many; 60% of content lengths 2-48, 20% compositional, 20% long.
        seed: of the draw.

    >>> specification(10).tokens.shape
    (10, 64)
    """
    rng = np.random.default_rng(seed)
    short, compositional = (round(MIX[name] * sequences) for name in ("short", "compositional"))
    return dyck.concatenate(
        [
            dyck.sample_short(short, rng=rng),
            dyck.sample_compositional(compositional, rng=rng),
            dyck.sample_long(sequences - short - compositional, rng=rng),
        ]
    )


def behavioural(models: StackedTransformer, spec: LabelledSequences) -> PerSeed:
    """Bar B: how far the models' answers are from the algorithm's, in nats.

    The mean over tokens and output heads of KL(labels || model), where a label has probability
    1 - 1e-6 and the others share the rest.

    Args:
        models: a stack.
        spec: sequences with the algorithm's labels, say `specification()`.
    """
    return label_divergence(predict(models, spec), real_labels(spec))


def label_divergence(
    logits: Mapping[str, Float[Tensor, "seed token label"]],
    labels: Mapping[str, Int[Tensor, " token"]],
) -> PerSeed:
    """Mean over tokens and heads of KL(smoothed labels || answers), in nats."""
    divergences = []
    for head, own_logits in logits.items():
        log_q = own_logits.double().log_softmax(-1)
        label = labels[head].expand(len(log_q), -1)[..., None]
        own = log_q.gather(-1, label)[..., 0]
        other = SMOOTHING / (log_q.shape[-1] - 1)
        entropy = -(1 - SMOOTHING) * math.log1p(-SMOOTHING) - SMOOTHING * math.log(other)
        cross = -(1 - SMOOTHING) * own - other * (log_q.sum(-1) - own)
        divergences.append((cross - entropy).mean(-1))
    return torch.stack(divergences).mean(0)


def smoothed(labels: Int[Tensor, " token"], count: int) -> Float[Tensor, "token label"]:
    """Probabilities of the behavioural bar's specification."""
    other = SMOOTHING / (count - 1)
    p = torch.full((len(labels), count), other, dtype=torch.float64)
    return p.scatter(-1, labels[:, None], 1 - SMOOTHING)


def parametric(
    models: StackedTransformer, spec: StackedTransformer, *, turn_residual: bool = True
) -> PerSeed:
    """Bar P: how far the weights are from a model's, up to symmetries, per entry.

    The mean squared difference of the tensor where it is largest, after the search of
    `polyrot.symmetry.search.align_weights`; gains are folded into the weights that read them.

    Args:
        models: a stack.
        spec: a stack of one model, which stays as it is.
        turn_residual: whether the search may turn the residual stream.

    Notes:
        In squared units of `spec`'s weights, which grow with the time it was trained: a
        threshold means the same only for models trained alike.
    """
    goal = _only(spec).state(0)
    found = [
        align_weights(models.state(i), goal, spec.config, turn_residual=turn_residual).worst
        for i in range(models.seeds)
    ]
    return torch.tensor(found, dtype=torch.float64)


def causal(
    models: StackedTransformer,
    spec: StackedTransformer,
    *,
    sequences: int = EFFECT_SEQUENCES,
    points: int = POINTS,
) -> PerSeed:
    """Bar C: do components matter as much as the specification's gradients say?  Pearson's r.

    Over components (8 heads and 2 MLPs), between the effects that integrated gradients predict
    in `spec` and those measured in each model once its heads are matched.  An effect is the rise
    of the loss, in nats a token summed over output heads, when a component writes its mean.

    Args:
        models: a stack.
        spec: a stack of one model.
        sequences: how many the effects are measured on.
        points: of the integral.

    Notes:
        Integrated gradients are complete: of a model with itself this is 1 by construction.
    """
    batch = analysis_batch(sequences, seed=1)
    means, inputs = _means(_only(spec)), dyck_inputs(spec, batch)
    predicted = integrated_gradients(spec, means, inputs, points=points)
    return correlation(predicted, matched_effects(models, spec, batch))


def predictive(
    models: StackedTransformer, spec: StackedTransformer, *, sequences: int = EFFECT_SEQUENCES
) -> PerSeed:
    """Bar Pr: do losses with a component ablated follow from the specification's?  Pearson's r.

    Over components, between losses of `spec` on some sequences and of each model, its heads
    matched, on others.

    Args:
        models: a stack.
        spec: a stack of one model.
        sequences: how many each of the two losses is measured on.

    Notes:
        Pearson's r ignores a constant, so that on one batch effects and losses give one number:
        the published Pr equals the published C.  Other sequences make it a prediction.
    """
    losses = []
    for own, seed in ((_only(spec), 1), (models, 2)):
        batch = analysis_batch(sequences, seed=seed)
        clean = mean_loss(dyck_inputs(own, batch)).detach()
        losses.append(clean[:, None] + matched_effects(own, spec, batch))
    return correlation(losses[0], losses[1])


def matched_effects(
    models: StackedTransformer, spec: StackedTransformer, batch: LabelledSequences
) -> Effects:
    """Measure each model's effects, in the order of the components of `spec` they match."""
    effects = ablation_effects(models, _means(models), dyck_inputs(models, batch))
    goal = spec.state(0)
    rows = []
    for i, row in enumerate(effects):
        found = align_weights(models.state(i), goal, spec.config).symmetry
        rows.append(row[component_order([layer.heads for layer in found.layers])])
    return torch.stack(rows)


def component_order(heads: list[Tensor]) -> Tensor:
    """Where each component's match is, from each layer's order of heads."""
    order: list[int] = []
    for layer in heads:
        first = len(order)
        order += [first + int(head) for head in layer] + [first + len(layer)]
    return torch.tensor(order)


def correlation(
    x: Float[Tensor, "#seed component"], y: Float[Tensor, "#seed component"]
) -> PerSeed:
    """Pearson's r over components, of every seed; one row of `x` serves all of `y`."""
    x, y = (z.double() - z.double().mean(-1, keepdim=True) for z in (x, y))
    r: Tensor = (x * y).sum(-1) / (x.norm(dim=-1) * y.norm(dim=-1))
    return r


def analysis_batch(sequences: int, *, seed: int) -> LabelledSequences:
    """Draw sequences of the analyses, content lengths 2-48."""
    return dyck.sample_short(sequences, rng=np.random.default_rng([seed, 15]))


def _means(models: StackedTransformer) -> dict[str, Tensor]:
    return mean_outputs(models, dyck_inputs(models, analysis_batch(MEAN_SEQUENCES, seed=0)))


def _only(spec: StackedTransformer) -> StackedTransformer:
    if spec.seeds != 1:
        raise ValueError(
            f"Expected spec to be a stack of one model but got {spec.seeds}; "
            "take one with spec.take(0)"
        )
    return spec
