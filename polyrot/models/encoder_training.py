"""Training of stacked encoders on a finite set of examples, epoch by epoch, resumable.

Recipes: arXiv 2602.22600, released code: AdamW with PyTorch's default betas, a constant learning
rate, no clipping, examples reshuffled in every epoch.  The seeds of a stack train together but
independently; what an epoch draws is a function of the seed and the epoch, so a resumed run
equals an uninterrupted one.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from polyrot.files import write_atomically
from polyrot.models.encoder import StackedEncoder, drop_nothing
from polyrot.models.resumable import saving
from polyrot.models.transformer import State
from polyrot.progress import Progress, silent

MASTERED = 0.99
LEVELS = 2**16
"""Levels of the random numbers that decide what dropout drops."""


@dataclass(frozen=True)
class Examples:
    """Inputs, and the targets at their last positions."""

    tokens: Int[Tensor, "example position"]
    targets: Int[Tensor, "example answer"]
    """One column for each of the last positions."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class EncoderTraining:
    """What determines a trained model, apart from its architecture, seed and examples."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    evaluate_every: int
    """In epochs."""
    keep: tuple[int, ...] = ()
    """Epochs after which the weights are kept.  Also kept are those of the last epoch, and of the
    first evaluated epochs in which all seeds reach an accuracy of `MASTERED` on the training
    examples and on the held-out ones."""
    first_epoch: int = 0
    """Epochs for which the weights were trained before, with another optimiser."""
    enough: float = 2.0
    """Held-out accuracy that ends training once every seed has reached it; above 1, never."""


@dataclass
class History:
    """Accuracies during training."""

    epochs: list[int] = field(default_factory=list)
    training: list[list[float]] = field(default_factory=list)
    """By evaluation and seed."""
    held_out: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0
    """Training time, summed over the runs that it took."""

    def delay(self, index: int) -> int | None:
        """Return a seed's epochs from mastering the training examples to the held-out ones."""
        mastered = [
            [e for e, by_seed in zip(self.epochs, which, strict=True) if by_seed[index] >= MASTERED]
            for which in (self.training, self.held_out)
        ]
        if not all(mastered):
            return None
        return mastered[1][0] - mastered[0][0]

    @property
    def memorised(self) -> int | None:
        """The first evaluated epoch after which every seed has mastered the training examples."""
        return self._first(self.training)

    @property
    def grokked(self) -> int | None:
        """The first evaluated epoch after which every seed has mastered the held-out ones too."""
        return self._first(self.held_out)

    def _first(self, accuracies: list[list[float]]) -> int | None:
        evaluations = zip(self.epochs, accuracies, strict=True)
        return next((epoch for epoch, seeds in evaluations if min(seeds) >= MASTERED), None)


def train_encoders(
    model: StackedEncoder,
    seeds: Sequence[int],
    config: EncoderTraining,
    training: Examples,
    held_out: Examples,
    *,
    checkpoint: Path,
    progress: Progress = silent,
) -> History:
    """Train a stack in place; continue from `checkpoint` where that file exists.

    The weights of the epochs to keep lie in the same folder, see `kept_file`.
    `progress` is called after every epoch.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    history, epoch = History(), config.first_epoch
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        history, epoch = History(**saved["history"]), saved["epoch"]

    def save() -> None:
        payload = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": vars(history),
            "epoch": epoch,
        }
        write_atomically(checkpoint, lambda path: torch.save(payload, path))

    text = ""
    start, before = time.monotonic(), history.seconds
    with saving(save) as saves:
        while epoch < config.epochs and not _done(history, config):
            with saves.step():
                _train_epoch(model, seeds, epoch, config, training, optimizer)
                epoch += 1
                if epoch % config.evaluate_every == 0 or epoch == config.epochs:
                    history.epochs.append(epoch)
                    for examples, accuracies in (
                        (training, history.training),
                        (held_out, history.held_out),
                    ):
                        accuracies.append(accuracy(model, examples).tolist())
                    text = _remark(history)
                first = epoch in (history.memorised, history.grokked)
                if first or epoch in (*config.keep, config.epochs) or _done(history, config):
                    _keep(model, kept_file(checkpoint, epoch))
                history.seconds = before + time.monotonic() - start
            progress(epoch / config.epochs, f"epoch {epoch} of {config.epochs}  {text}")
            saves.now_and_then()
    model.drop = drop_nothing
    return history


def kept_file(checkpoint: Path, epoch: int) -> Path:
    """Return the path of the weights kept after an epoch."""
    return checkpoint.with_name(f"{checkpoint.stem}-epoch{epoch}.pt")


def kept_states(checkpoint: Path, epoch: int) -> list[State]:
    """Load the weights of every seed after an epoch that was to be kept."""
    states: list[State] = torch.load(kept_file(checkpoint, epoch), weights_only=True)
    return states


def accuracy(model: StackedEncoder, examples: Examples) -> Float[Tensor, " seed"]:
    """Share of correct answers, by seed."""
    tokens = examples.tokens.expand(model.seeds, -1, -1)
    with torch.inference_mode():
        logits = predictions(model, tokens, answers=examples.targets.shape[1])
    right: Tensor = (logits.argmax(-1) == examples.targets).double().mean((1, 2))
    return right


def predictions(
    model: StackedEncoder, tokens: Int[Tensor, "seed example position"], *, answers: int
) -> Float[Tensor, "seed example answer label"]:
    """Logits at the last positions."""
    logits: Tensor = model(tokens, last=answers == 1)[0]
    return logits[:, :, -answers:]


def _train_epoch(
    model: StackedEncoder,
    seeds: Sequence[int],
    epoch: int,
    config: EncoderTraining,
    examples: Examples,
    optimizer: torch.optim.Optimizer,
) -> None:
    generators = [np.random.Generator(np.random.SFC64([seed, epoch])) for seed in seeds]
    model.drop = _Dropout(model.config.dropout, generators)
    orders = np.stack([generator.permutation(len(examples)) for generator in generators])
    order = torch.from_numpy(orders)
    for first in range(0, len(examples), config.batch):
        rows = order[:, first : first + config.batch]
        targets = examples.targets[rows]
        logits = predictions(model, examples.tokens[rows], answers=targets.shape[-1])
        losses = F.cross_entropy(logits.flatten(0, 2), targets.flatten(), reduction="none")
        optimizer.zero_grad(set_to_none=True)
        losses.view(len(seeds), -1).mean(1).sum().backward()
        optimizer.step()
    model.drop = drop_nothing


class _Dropout:
    """Dropout with separate random masks for every seed.

    PyTorch's dropout draws one number after the other, which took a quarter of a training step.
    """

    def __init__(self, rate: float, generators: Sequence[np.random.Generator]) -> None:
        self._threshold = round(rate * LEVELS)
        self._generators = generators

    def __call__(self, x: Tensor) -> Tensor:
        # In attention one axis holds both seeds and sequences; the size per seed is the same.
        size = x.numel() // len(self._generators)
        bits = b"".join(generator.bytes(2 * size) for generator in self._generators)
        kept = np.frombuffer(bits, np.uint16) >= self._threshold
        scale = LEVELS / (LEVELS - self._threshold)
        return x * torch.from_numpy(kept).view(x.shape).to(x.dtype).mul_(scale)


def _done(history: History, config: EncoderTraining) -> bool:
    best = map(max, zip(*history.held_out, strict=True))
    return bool(history.held_out) and min(best) >= config.enough


def _keep(model: StackedEncoder, file: Path) -> None:
    states = [model.state(i) for i in range(model.seeds)]
    write_atomically(file, lambda path: torch.save(states, path))


def _remark(history: History) -> str:
    training, held_out = (min(a[-1]) for a in (history.training, history.held_out))
    return f"lowest accuracy {training:.1%} on training, {held_out:.1%} on held-out examples"
