"""The checks of `polyrot doctor`: can this installation run claims?"""

import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from polyrot import locations
from polyrot.cache import cache_directory
from polyrot.progress import Progress
from polyrot.report.columns import size

LEAST_MEMORY, LEAST_DISK = 4 * 2**30, 2 * 2**30
"""Bytes that judging the shipped suites needs, with a margin."""
HUB_SECONDS = 4.0
NOT_FOR_USERS = ("test", "bench", "dev", "docs")
"""Extras for work on polyrot itself."""


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """Something is missing or slow, but a run works without it."""
    PROBLEM = "problem"
    """It prevents a run."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was checked, the result, and how to fix it."""

    level: Level
    what: str
    said: str
    fix: str = ""


def libraries(progress: Progress) -> Iterator[Finding]:
    """Check Python, and whether polyrot's requirements are installed in suitable versions."""
    from packaging.requirements import Requirement

    least = metadata("polyrot")["Requires-Python"]
    yield Finding(Level.OK, "python", f"{platform.python_version()} ({least} is needed)")
    yield Finding(Level.OK, "polyrot", version("polyrot"))
    extras: dict[str, list[tuple[str, bool]]] = {}
    for text in requires("polyrot") or ():
        requirement = Requirement(text)
        found = _installed(requirement.name)
        fits = found is not None and requirement.specifier.contains(found, prereleases=True)
        extra = _extra(text)
        if extra:
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                extras.setdefault(extra, []).append((f"{requirement.name} {found}", fits))
            continue
        if fits:
            yield Finding(Level.OK, requirement.name, str(found))
        else:
            said = f"{found}, and {requirement.specifier} is needed" if found else "not installed"
            fix = f"pip install '{requirement.name}{requirement.specifier}'"
            yield Finding(Level.PROBLEM, requirement.name, said, fix)
    for extra, members in extras.items():
        if extra in NOT_FOR_USERS:
            continue
        if all(fits for _, fits in members):
            yield Finding(Level.OK, f"extra {extra}", ", ".join(name for name, _ in members))
        else:
            yield Finding(
                Level.OK, f"extra {extra}", f"not installed (pip install 'polyrot[{extra}]')"
            )


def device(progress: Progress) -> Iterator[Finding]:
    """Check the processor, accelerators and memory."""
    import psutil

    from polyrot.provenance import machine

    here = machine()
    yield Finding(Level.OK, "processor", f"{here['processor']}, {here['cores']} cores")
    memory = psutil.virtual_memory()
    said = f"{size(memory.available)} of {size(memory.total)} free"
    if memory.available < LEAST_MEMORY:
        fix = f"close other programs; the shipped suites need up to {size(LEAST_MEMORY)}"
        yield Finding(Level.WARNING, "memory", said, fix)
    else:
        yield Finding(Level.OK, "memory", said)
    progress(0, "importing torch")
    try:
        import torch
    except (ImportError, OSError) as error:
        fix = "reinstall torch; the CPU build is enough"
        yield Finding(Level.PROBLEM, "torch", f"cannot be imported: {error}", fix)
        return
    yield Finding(Level.OK, "torch", f"imports; {torch.get_num_threads()} threads")
    if not torch.cuda.is_available():
        yield Finding(Level.OK, "cuda", "no device; models run on the processor")
    for number in range(torch.cuda.device_count()):
        known = torch.cuda.get_device_properties(number)
        yield Finding(Level.OK, f"cuda:{number}", f"{known.name}, {size(known.total_memory)}")


def cache(progress: Progress) -> Iterator[Finding]:
    """Check the cache folder: is it writable, is there space, are its entries intact?"""
    from polyrot.upkeep.cache_damage import damaged, leftovers

    folder = cache_directory()
    fix = "set POLYROT_CACHE to a folder that you may write to"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        said = f"cannot be written: {error}; every run measures everything again"
        yield Finding(Level.WARNING, "folder", said, fix)
        return
    yield Finding(Level.OK, "folder", f"{folder}, writable")
    free = shutil.disk_usage(folder).free
    if free < LEAST_DISK:
        fix = "polyrot cache clear, or set POLYROT_CACHE to a larger disk"
        yield Finding(Level.WARNING, "disk", f"{size(free)} free", fix)
    else:
        yield Finding(Level.OK, "disk", f"{size(free)} free")
    count = 0
    for entry in damaged(progress):
        count += 1
        said = f"{entry.kind.name}/{entry.path.name} is damaged; it is made again when needed"
        yield Finding(Level.WARNING, "entry", said, f"polyrot cache clear {entry.kind.name}")
    if not count:
        yield Finding(Level.OK, "entries", "none is damaged")
    left = leftovers()
    if left:
        said = f"{len(left)} left by killed runs, {size(sum(entry.bytes for entry in left))}"
        kinds = " ".join(dict.fromkeys(entry.kind.name for entry in left))
        yield Finding(Level.WARNING, "temporary files", said, f"polyrot cache clear {kinds}")
    else:
        yield Finding(Level.OK, "temporary files", "none left over")


def hub(progress: Progress) -> Iterator[Finding]:
    """Check whether the hub can be reached.  No shipped suite needs it."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        said = "not checked: HF_HUB_OFFLINE is set; suites from the hub run only from its cache"
        yield Finding(Level.OK, "model hub", said)
        return
    progress(0, f"asking {constants.ENDPOINT}")
    try:
        answer = get_session().get(f"{constants.ENDPOINT}/api/models/gpt2", timeout=HUB_SECONDS)
    except Exception as error:  # whatever the client raises, there is no hub
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        said = f"{constants.ENDPOINT} cannot be reached ({reason}); suites from it are NOT RUN"
        fix = "check the network and its proxies, or set HF_ENDPOINT to a mirror"
        yield Finding(Level.WARNING, "model hub", said, fix)
        return
    if answer.status_code < 500:
        yield Finding(Level.OK, "model hub", f"{constants.ENDPOINT} answers")
    else:
        said = f"{constants.ENDPOINT} answers with status {answer.status_code}"
        yield Finding(Level.WARNING, "model hub", said, "try again later")


def files(progress: Progress) -> Iterator[Finding]:
    """Check what is shipped: trained weights by their hashes, claims, calibration, verdicts."""
    from polyrot.catalogue import find_claims
    from polyrot.suites.artifacts import SHIPPED, Artifacts, DamagedArtifact, MissingArtifact
    from polyrot.verdict.calibration import read_calibration
    from polyrot.verdict.record import read_verdict

    fix = "reinstall polyrot (pip install --force-reinstall), or git checkout in a clone"
    for manifest in sorted(SHIPPED.glob("*/manifest.json")):
        name = manifest.parent.name
        progress(0, f"verifying {name}")
        try:
            count = len(Artifacts.open(manifest.parent).hashes)
            yield Finding(Level.OK, name, f"{count} trained files match their manifest")
        except (DamagedArtifact, MissingArtifact, OSError, ValueError) as error:
            yield Finding(Level.PROBLEM, name, str(error), fix)
    folder, claims = find_claims()
    if folder is None:
        yield Finding(Level.PROBLEM, "claims", "there are none", fix)
    else:
        yield Finding(Level.OK, "claims", f"{len(claims)} in {folder}")
    matrix = locations.calibration_file(Path())
    try:
        if matrix is None:
            raise FileNotFoundError("there is none: how well bars discriminate is unknown")
        worlds = len(read_calibration(matrix).worlds)
        yield Finding(Level.OK, "calibration", f"of {worlds} worlds, {matrix}")
    except (OSError, ValueError) as error:
        yield Finding(Level.WARNING, "calibration", str(error), fix)
    for name, path in locations.reference_verdicts().items():
        try:
            known = len(read_verdict(path).verdicts)
            yield Finding(Level.OK, f"{locations.PREFIX}{name}", f"{known} verdicts")
        except (OSError, ValueError) as error:
            yield Finding(Level.WARNING, f"{locations.PREFIX}{name}", str(error), fix)


GROUPS: tuple[tuple[str, Callable[[Progress], Iterator[Finding]]], ...] = (
    ("Libraries", libraries),
    ("Device", device),
    ("Cache", cache),
    ("Hub", hub),
    ("Shipped files", files),
)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _extra(requirement: str) -> str:
    """Return the extra that a requirement belongs to; empty if none."""
    _, found, rest = requirement.partition("extra ==")
    return rest.strip().strip(")").strip().strip("\"'") if found else ""
