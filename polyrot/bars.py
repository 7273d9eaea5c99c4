"""The paper's four bars: does a model equal a specification, in four senses?

arXiv 2605.24577 calls them pre-registered.  Each takes a stack of models and returns one number
per seed; the thresholds are the paper's.

| bar | what is compared | unit | met if |
|---|---|---|---|
| B, `behavioural` | answers with the algorithm's labels | nats, KL divergence | below 1e-4 |
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
"""Shares of each kind of sequence in the behavioural bar's batch."""

MEAN_SEQUENCES, EFFECT_SEQUENCES = 4_096, 256
"""Sequences over which a component's mean is taken, and on which its effect is measured."""

PerSeed = Float[Tensor, " seed"]


def specification(sequences: int = 4_096, *, seed: int = 1) -> LabelledSequences:
    """Draw the behavioural bar's batch: sequences in the published mix, with true labels.

    Args:
        sequences: their number; 60% of content lengths 2-48, 20% compositional, 20% long.
        seed: seed of the draw.

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
    """Bar B: divergence of the models' answers from the algorithm's, in nats.

    The mean over tokens and output heads of KL(labels || model), where the true label has
    probability 1 - 1e-6 and the others share the rest.

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
    for head, head_logits in logits.items():
        log_q = head_logits.double().log_softmax(-1)
        label = labels[head].expand(len(log_q), -1)[..., None]
        true = log_q.gather(-1, label)[..., 0]
        other = SMOOTHING / (log_q.shape[-1] - 1)
        entropy = -(1 - SMOOTHING) * math.log1p(-SMOOTHING) - SMOOTHING * math.log(other)
        cross = -(1 - SMOOTHING) * true - other * (log_q.sum(-1) - true)
        divergences.append((cross - entropy).mean(-1))
    return torch.stack(divergences).mean(0)


def smoothed(labels: Int[Tensor, " token"], count: int) -> Float[Tensor, "token label"]:
    """Return the label probabilities of the behavioural bar's specification."""
    other = SMOOTHING / (count - 1)
    p = torch.full((len(labels), count), other, dtype=torch.float64)
    return p.scatter(-1, labels[:, None], 1 - SMOOTHING)


def parametric(
    models: StackedTransformer, spec: StackedTransformer, *, turn_residual: bool = True
) -> PerSeed:
    """Bar P: distance of the weights from the specification's, up to symmetries, per entry.

    The mean squared difference of the tensor in which it is largest, after the search of
    `polyrot.symmetry.search.align_weights`; gains are folded into the weights that read them.

    Args:
        models: a stack.
        spec: a stack of one model; it is not changed.
        turn_residual: whether the search may rotate the residual stream.

    Notes:
        In squared units of `spec`'s weights, which grow during training: a threshold compares
        only models trained in the same way.
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
    """Bar C: do components matter as much as the specification's gradients predict?  Pearson's r.

    The correlation over components (8 heads and 2 MLPs) between effects that integrated gradients
    predict in `spec` and effects measured in each model with its heads matched.  An effect is the
    rise of the loss, in nats per token summed over output heads, when a component's output is
    replaced by its mean.

    Args:
        models: a stack.
        spec: a stack of one model.
        sequences: number of sequences on which effects are measured.
        points: number of points of the integral.

    Notes:
        Integrated gradients are complete: for a model and itself this is 1 by construction.
    """
    batch = analysis_batch(sequences, seed=1)
    means, inputs = _means(_only(spec)), dyck_inputs(spec, batch)
    predicted = integrated_gradients(spec, means, inputs, points=points)
    return correlation(predicted, matched_effects(models, spec, batch))


def predictive(
    models: StackedTransformer, spec: StackedTransformer, *, sequences: int = EFFECT_SEQUENCES
) -> PerSeed:
    """Bar Pr: does the specification predict losses with a component ablated?  Pearson's r.

    The correlation over components between the losses of `spec` on one set of sequences and those
    of each model, with its heads matched, on another.

    Args:
        models: a stack.
        spec: a stack of one model.
        sequences: number of sequences in each of the two sets.

    Notes:
        Pearson's r ignores an additive constant, so on one batch effects and losses give the same
        r: the published Pr equals the published C.  A second batch makes it a prediction.
    """
    losses = []
    for stack, seed in ((_only(spec), 1), (models, 2)):
        batch = analysis_batch(sequences, seed=seed)
        clean = mean_loss(dyck_inputs(stack, batch)).detach()
        losses.append(clean[:, None] + matched_effects(stack, spec, batch))
    return correlation(losses[0], losses[1])


def matched_effects(
    models: StackedTransformer, spec: StackedTransformer, batch: LabelledSequences
) -> Effects:
    """Measure each model's effects, ordered by the components of `spec` that they match."""
    effects = ablation_effects(models, _means(models), dyck_inputs(models, batch))
    goal = spec.state(0)
    rows = []
    for i, row in enumerate(effects):
        found = align_weights(models.state(i), goal, spec.config).symmetry
        rows.append(row[component_order([layer.heads for layer in found.layers])])
    return torch.stack(rows)


def component_order(heads: list[Tensor]) -> Tensor:
    """Return the index of each component's match, from each layer's order of heads."""
    order: list[int] = []
    for layer in heads:
        first = len(order)
        order += [first + int(head) for head in layer] + [first + len(layer)]
    return torch.tensor(order)


def correlation(
    x: Float[Tensor, "#seed component"], y: Float[Tensor, "#seed component"]
) -> PerSeed:
    """Pearson's r over components for every seed; a single row of `x` serves all rows of `y`."""
    x, y = (z.double() - z.double().mean(-1, keepdim=True) for z in (x, y))
    r: Tensor = (x * y).sum(-1) / (x.norm(dim=-1) * y.norm(dim=-1))
    return r


def analysis_batch(sequences: int, *, seed: int) -> LabelledSequences:
    """Draw sequences for the analyses, content lengths 2-48."""
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
