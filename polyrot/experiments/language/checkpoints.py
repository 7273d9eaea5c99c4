"""The checkpoints that a suite file names: where they are, and whether they are comparable."""

from dataclasses import dataclass
from pathlib import Path

from polyrot.errors import NotRun
from polyrot.experiments.language.suite_file import Models
from polyrot.experiments.language.tokens import Sequences
from polyrot.interventions.places import FAMILIES, places
from polyrot.models import hub
from polyrot.models.hub import Checkpoint
from polyrot.suites import registry
from polyrot.suites.artifacts import SHIPPED, artifact_folder


@dataclass(frozen=True)
class Run:
    """The checkpoints of one model's training."""

    seed: int
    last: Checkpoint
    earlier: tuple[Checkpoint, ...]
    untrained: Checkpoint | None


def runs(entry: Models, base: Path, artifacts: Path = SHIPPED) -> list[Run]:
    """Find the checkpoints of an entry of a suite file."""
    if entry.artifact:
        folder = folder_of(entry.artifact, base, artifacts)
        return [_trained_here(folder, seed) for seed in entry.all_seeds]
    return [
        Run(
            seed,
            _checkpoint(entry, entry.revision if entry.hub else entry.folder, seed, base),
            tuple(_checkpoint(entry, name, seed, base) for name in entry.earlier),
            _checkpoint(entry, entry.untrained, seed, base) if entry.untrained else None,
        )
        for seed in entry.all_seeds
    ]


def _checkpoint(entry: Models, name: str, seed: int, base: Path) -> Checkpoint:
    name, hub_id = (text.replace("{seed}", str(seed)) for text in (name, entry.hub))
    return Checkpoint(hub_id, name) if hub_id else Checkpoint(str(base / name))


def _trained_here(folder: Path, seed: int) -> Run:
    half_way = folder / f"seed{seed}-half-way"
    earlier = (Checkpoint(str(half_way)),) if half_way.is_dir() else ()
    return Run(seed, Checkpoint(str(folder / f"seed{seed}")), earlier, None)


def folder_of(artifact: str, base: Path, artifacts: Path = SHIPPED) -> Path:
    """Return the folder of an artifact: shipped, trained here, or relative to a suite file.

    Args:
        artifact: its name, or a path.
        base: the suite file's folder, to which a path is relative.
        artifacts: the folder with one folder of shipped files per suite.
    """
    found = artifact_folder(artifact, artifacts)
    return found if found.is_dir() or artifact in registry.trainers() else base / artifact


def sites_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """List the sites of a checkpoint's residual stream, in the order of depth.

    Raises:
        NotRun: if its model family is not supported.
    """
    model = hub.skeleton(checkpoint)
    try:
        return places(model).sites
    except TypeError:
        raise NotRun(
            f"{checkpoint} is a {type(model).__name__}; supported model families are "
            f"{', '.join(FAMILIES)}"
        ) from None


def check_tokens(checkpoint: Checkpoint, tokens: Sequences, what: str) -> None:
    """Raise NotRun if a checkpoint's vocabulary or context is too small for the tokens."""
    config = hub.architecture(checkpoint)
    largest, known = int(tokens.max()), int(config.vocab_size)
    if largest >= known:
        raise NotRun(
            f"{what} holds the token {largest} but {checkpoint} knows only {known}; give tokens of "
            "its tokenizer"
        )
    length = tokens.shape[1]
    longest = getattr(config, "max_position_embeddings", None) or length
    if length > longest:
        raise NotRun(
            f"{what} has sequences of {length} tokens but {checkpoint} takes {longest}; lower "
            "tokens.length"
        )
