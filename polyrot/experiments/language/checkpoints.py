"""The checkpoints that a suite file names: where they are, and whether they can be compared."""

from dataclasses import dataclass
from pathlib import Path

from polyrot.errors import NotRun
from polyrot.experiments.language.suite_file import Models
from polyrot.experiments.language.tokens import Sequences
from polyrot.interventions.places import FAMILIES, places
from polyrot.models import hub
from polyrot.models.hub import Checkpoint
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
    """The folder of an artifact: shipped, trained here, or beside a suite file.

    Args:
        artifact: its name, or a path.
        base: the suite file's folder, to which a path is relative.
        artifacts: holds one folder of shipped files a suite.
    """
    found = artifact_folder(artifact, artifacts)
    beside = base / artifact
    return beside if beside.is_dir() and not found.is_dir() else found


def sites_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The sites of a checkpoint's residual stream, in the order of depth.

    Raises:
        NotRun: where it is of a family that cannot be read.
    """
    model = hub.skeleton(checkpoint)
    try:
        return places(model).sites
    except TypeError:
        raise NotRun(
            f"{checkpoint} is a {type(model).__name__}; models of the families "
            f"{', '.join(FAMILIES)} can be read"
        ) from None


def check_tokens(checkpoint: Checkpoint, tokens: Sequences, what: str) -> None:
    """Raise NotRun where a checkpoint does not know a token, or sequences so long."""
    config = hub.architecture(checkpoint)
    largest, known = int(tokens.max()), int(config.vocab_size)
    if largest >= known:
        raise NotRun(
            f"{what} holds the token {largest} and {checkpoint} knows {known}; give tokens of its "
            "own tokenizer"
        )
    length = tokens.shape[1]
    longest = getattr(config, "max_position_embeddings", None) or length
    if length > longest:
        raise NotRun(
            f"{what} has sequences of {length} tokens and {checkpoint} takes {longest}; lower "
            "tokens.length"
        )
