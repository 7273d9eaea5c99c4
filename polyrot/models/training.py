"""Training of stacked transformers: the paper's recipe, resumable.

Recipe (arXiv 2605.24577, section Setup): AdamW with betas (0.9, 0.95) and weight
decay 1e-4, peak learning rate 3e-3 after 500 warm-up steps, cosine to 2%,
gradient norm clipped to 1, bfloat16 autocast over float32 weights.  The seeds of
a stack train together but independently, clipping included, and every batch is a
function of (seed, step), so a resumed run equals an uninterrupted one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from polyrot.files import write_atomically
from polyrot.models.resumable import saving
from polyrot.models.schedule import warm_up_then_cosine
from polyrot.models.transformer import Logits, StackedTransformer, State
from polyrot.progress import Progress, silent
from polyrot.tasks import dyck
from polyrot.tasks.dyck import LabelledSequences

Sampler = Callable[..., LabelledSequences]
TASKS: dict[str, Sampler] = {
    "dyck3": dyck.sample,
    "dyck3-short": dyck.sample_short,
    "two-back": dyck.sample_two_back,
}
HELD_OUT: dict[str, Mapping[str, Sampler]] = {
    "dyck3": dyck.HELD_OUT,
    "dyck3-short": {**dyck.HELD_OUT, "train": dyck.sample_short},
    "two-back": {"train": dyck.sample_two_back},
}


@dataclass(frozen=True)
class TrainingConfig:
    """What determines a trained model, apart from its architecture and its seed."""

    task: str = "dyck3"
    steps: int = 16_000
    batch: int = 256
    learning_rate: float = 3e-3
    warmup: int = 500
    final_fraction: float = 0.02
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 1e-4
    clip: float = 1.0
    bfloat16: bool = True
    length_buckets: int = 8
    evaluate_every: int = 2_000
    evaluate_sequences: int = 4_096
    last: bool = False
    """Keep the weights of the last step, not the best on held-out data."""

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then cosine."""
        return warm_up_then_cosine(
            step,
            self.steps,
            peak=self.learning_rate,
            warmup=min(self.warmup, self.steps // 10 + 1),
            final_fraction=self.final_fraction,
        )


@dataclass
class TrainingResult:
    """Weights of every seed of a stack: the best and the half-way ones."""

    best: list[State]
    best_step: list[int]
    half_way: list[State]
    seconds: float
    """Training time, summed over the runs that it took."""


@dataclass
class _Reached:
    """Everything that a resumed run needs, except weights and optimiser state."""

    step: int = 0
    seconds: float = 0.0
    best_step: list[int] = field(default_factory=list)
    best_score: list[tuple[float, float]] = field(default_factory=list)


def train(
    model: StackedTransformer,
    seeds: Sequence[int],
    config: TrainingConfig,
    *,
    checkpoint: Path,
    progress: Progress = silent,
) -> TrainingResult:
    """Train a stack in place; continue from `checkpoint` where that file exists.

    `progress` is called after every step.  An interrupt leaves a checkpoint of the last
    finished step and is raised again; one within an update, or the scoring that follows it,
    leaves the previous checkpoint, if any.
    """
    device = model.W_pos.device
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trained,
        lr=config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True,
    )
    reached = _Reached(best_step=[0] * len(seeds), best_score=[(-1.0, 0.0)] * len(seeds))
    best = [model.state(i) for i in range(len(seeds))]
    half_way = list(best)
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        reached, best, half_way = _Reached(**saved["progress"]), saved["best"], saved["half_way"]

    def save() -> None:
        payload = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "progress": asdict(reached),
            "best": best,
            "half_way": half_way,
        }
        write_atomically(checkpoint, lambda path: torch.save(payload, path))

    start = time.monotonic()
    seconds_before = reached.seconds
    text = ""
    with saving(save) as saves:
        while reached.step < config.steps:
            step = reached.step
            loss = _gradients(model, seeds, step, config, optimizer)
            with saves.step():
                _update(optimizer, trained, config, step)
                if step + 1 == config.steps // 2:
                    half_way = [model.state(i) for i in range(len(seeds))]
                if (step + 1) % config.evaluate_every == 0 or step + 1 == config.steps:
                    scores = _score(model, config)
                    for i, score in enumerate(scores):
                        if score > reached.best_score[i]:
                            reached.best_score[i], reached.best_step[i] = score, step + 1
                            best[i] = model.state(i)
                    text = f"lowest held-out accuracy {min(s[0] for s in scores):.4%}"
                reached.step = step + 1
                reached.seconds = seconds_before + time.monotonic() - start
            progress(
                reached.step / config.steps,
                f"step {reached.step} of {config.steps}  loss {loss:.4f}  {text}",
            )
            saves.now_and_then()
    if config.last:
        best = [model.state(i) for i in range(len(seeds))]
        reached.best_step = [reached.step] * len(seeds)
    return TrainingResult(best, reached.best_step, half_way, reached.seconds)


def evaluate(
    model: StackedTransformer,
    config: TrainingConfig,
    *,
    sequences: int,
    seed: int,
) -> list[dict[str, dict[str, float]]]:
    """Measure accuracy per position on held-out sets: one `{set: {head: accuracy}}` per seed.

    Every seed of the stack sees the same sequences.
    """
    result: list[dict[str, dict[str, float]]] = [{} for _ in range(model.seeds)]
    for index, (name, sampler) in enumerate(HELD_OUT[config.task].items()):
        batch = sampler(sequences, rng=np.random.default_rng([seed, index]))
        correct: dict[str, Tensor] = {}
        total: dict[str, int] = {}
        for group in batch.by_length(max(1, sequences // 256)):
            tokens, labels = to_tensors([group] * model.seeds, model.W_pos.device)
            with torch.inference_mode():
                logits, _ = model(tokens)
            for head, target in labels.items():
                hit = (logits[head].argmax(-1) == target).sum((1, 2)).cpu()
                correct[head] = correct.get(head, 0) + hit
                total[head] = total.get(head, 0) + int((target[0] != dyck.IGNORE).sum())
        for i in range(model.seeds):
            result[i][name] = {h: float(correct[h][i]) / total[h] for h in correct}
    return result


def to_tensors(
    batches: Sequence[LabelledSequences], device: torch.device
) -> tuple[Tensor, dict[str, Tensor]]:
    """Stack one batch per seed to tokens and labels `[seed, sequence, position]`."""
    width = max(batch.tokens.shape[1] for batch in batches)

    def stacked(arrays: list[np.ndarray], fill: int) -> Tensor:
        padded = [
            np.pad(a, ((0, 0), (0, width - a.shape[1])), constant_values=fill) for a in arrays
        ]
        return torch.from_numpy(np.stack(padded)).to(device, non_blocking=True)

    labels = {
        head: stacked([batch.labels[head] for batch in batches], dyck.IGNORE)
        for head in batches[0].labels
    }
    return stacked([batch.tokens for batch in batches], dyck.PAD), labels


def _gradients(
    model: StackedTransformer,
    seeds: Sequence[int],
    step: int,
    config: TrainingConfig,
    optimizer: torch.optim.Optimizer,
) -> float:
    """Compute every seed's gradient of a step; return the mean loss over seeds."""
    device = model.W_pos.device
    sampler = TASKS[config.task]
    batches = [sampler(config.batch, rng=np.random.default_rng([seed, step])) for seed in seeds]
    counts = {
        head: torch.tensor(
            [int((batch.labels[head] != dyck.IGNORE).sum()) for batch in batches], device=device
        )
        for head in batches[0].labels
    }
    loss = 0.0
    optimizer.zero_grad(set_to_none=True)
    for group in zip(*(b.by_length(config.length_buckets) for b in batches), strict=True):
        tokens, labels = to_tensors(group, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
            logits, _ = model(tokens)
        share = torch.stack(
            [
                (_summed_cross_entropy(logits[head], target) / counts[head]).sum()
                for head, target in labels.items()
            ]
        ).sum()
        share.backward()
        loss += float(share.detach())
    return loss / len(seeds)


def _update(
    optimizer: torch.optim.Optimizer,
    trained: Sequence[Tensor],
    config: TrainingConfig,
    step: int,
) -> None:
    _clip_per_seed(trained, config.clip)
    for settings in optimizer.param_groups:
        settings["lr"] = config.rate(step)
    optimizer.step()


def _summed_cross_entropy(logits: Logits, target: Tensor) -> Float[Tensor, " seed"]:
    losses = F.cross_entropy(
        logits.float().flatten(0, 2), target.flatten(), ignore_index=dyck.IGNORE, reduction="none"
    )
    return losses.view(len(target), -1).sum(1)


def _clip_per_seed(parameters: Sequence[Tensor], limit: float) -> None:
    """Scale each seed's gradient separately to a norm of at most `limit`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    square = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
    scale = (limit / (square.sqrt() + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(scale.view(-1, *[1] * (g.ndim - 1)))


def _score(model: StackedTransformer, config: TrainingConfig) -> list[tuple[float, float]]:
    """Rank checkpoints as the paper does: lowest accuracy, then lowest loss."""
    accuracies = evaluate(model, config, sequences=config.evaluate_sequences, seed=_VALIDATION)
    lowest = [min(min(heads.values()) for heads in sets.values()) for sets in accuracies]
    batch = TASKS[config.task](
        config.evaluate_sequences, rng=np.random.default_rng([_VALIDATION, 99])
    )
    loss = torch.zeros(model.seeds)
    for group in batch.by_length(config.length_buckets):
        tokens, labels = to_tensors([group] * model.seeds, model.W_pos.device)
        with torch.inference_mode():
            logits, _ = model(tokens)
            for head, target in labels.items():
                loss += _summed_cross_entropy(logits[head], target).cpu()
    return [(a, -float(value)) for a, value in zip(lowest, loss, strict=True)]


_VALIDATION = 1_000_003
"""Seed of the sequences that select a checkpoint; final metrics use another."""
