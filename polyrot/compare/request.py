"""Which two models to compare and on which text: checked, then loaded and compared."""

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from polyrot.compare.compare import SiteComparison, compare_models
from polyrot.errors import NotRun
from polyrot.experiments.language.checkpoints import check_tokens, sites_of
from polyrot.experiments.language.suite_file import Tokens
from polyrot.experiments.language.tokens import load_tokens
from polyrot.interventions.places import FINAL_NORM
from polyrot.models import hub
from polyrot.models.hub import Checkpoint
from polyrot.models.sources import ModelSource
from polyrot.progress import Progress, silent

MATRICES = 12
"""Number of `[d_model, d_model]` float64 matrices of a site: 1.5 GiB at d_model = 4,096."""

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Request:
    """What to compare: see `polyrot align --help`."""

    source: str
    target: str
    sites: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    tokens: Path | None = None
    sequences: int = 256
    length: int = 128
    batch: int = 16
    dtype: str = "float32"
    device: str = "cpu"
    seed: int = 0


def compare(request: Request, folder: Path, *, progress: Progress = silent) -> list[SiteComparison]:
    """Compare two models; moments and maps go to a folder, from which the rotations are read.

    Raises:
        NotRun: if a model, its tokenizer or enough text is not available.
        ValueError: if the models differ in width, or lack a site.
    """
    places_of = [checkpoint(name) for name in (request.source, request.target)]
    if request.dtype not in DTYPES:
        raise ValueError(f"Expected dtype among {', '.join(DTYPES)} but got {request.dtype!r}")
    if request.device not in ("cpu", "cuda"):
        raise ValueError(f"Expected device cpu or cuda but got {request.device!r}")
    if request.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no CUDA device; use device cpu")
    d_model = common_width(request)
    known = min((sites_of(place) for place in places_of), key=len)
    sites = request.sites or known
    if unknown := [site for site in sites if site not in (*known, FINAL_NORM)]:
        raise ValueError(f"Expected sites among {', '.join(known)} but got {', '.join(unknown)}")
    needed = len(sites) * MATRICES * d_model**2 * 8
    if needed > (free := psutil.virtual_memory().available):
        raise ValueError(
            f"Expected sites that fit into memory but the {len(sites)} of d_model {d_model} need "
            f"{needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; choose some with --site"
        )
    # The loader returns equally many sequences for autoencoders; those are used too.
    wanted = Tokens(
        files=list(request.text),
        file=str(request.tokens.resolve()) if request.tokens else "",
        sequences=max(8, (request.sequences + 1) // 2),
        length=request.length,
    )
    data = load_tokens(wanted, Path.cwd(), lambda: hub.load_tokenizer(places_of[0]))
    same_length = data.analysis.shape[1] == data.sae.shape[1]
    tokens = torch.cat([data.analysis, data.sae]) if same_length else data.analysis
    tokens = tokens[: request.sequences]
    for place in places_of:
        check_tokens(place, tokens, "tokens")
    dtype = getattr(torch, request.dtype)
    source, target = (ModelSource(place, dtype, request.device) for place in places_of)
    return compare_models(
        source,
        target,
        tokens,
        sites,
        folder,
        batch=request.batch,
        seed=request.seed,
        progress=progress,
    )


def common_width(request: Request) -> int:
    """Read d_model of both models.

    Raises:
        NotRun: if a model is not available.
        ValueError: if the two differ.
    """
    widths = [_width(name) for name in (request.source, request.target)]
    if widths[0] != widths[1]:
        raise ValueError(
            f"Expected models of one width but {request.source} has d_model {widths[0]} and "
            f"{request.target} {widths[1]}; a rotation needs equal widths"
        )
    return widths[0]


def _width(name: str) -> int:
    place = checkpoint(name)
    try:
        return int(hub.architecture(place).hidden_size)
    except NotRun as error:
        if place.revision is None:
            raise
        # The name may be a mistyped folder.
        raise NotRun(f"there is no folder {name} here; as a name on the hub: {error}") from None


def checkpoint(name: str) -> Checkpoint:
    """Read `FOLDER`, `hub/id` or `hub/id@revision`; an existing folder takes precedence."""
    if Path(name).is_dir():
        return Checkpoint(name)
    place, _, revision = name.partition("@")
    parent_exists = "/" in place and Path(place).parent.is_dir()
    if place.startswith((".", "/", "~")) or place.count("/") > 1 or parent_exists:
        raise ValueError(f"Expected a folder of save_pretrained but there is no folder {place}")
    if Path(place).is_file():
        raise ValueError(f"Expected a folder of save_pretrained but {place} is a file")
    return Checkpoint(place, revision or "main")
