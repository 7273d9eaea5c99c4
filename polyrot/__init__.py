"""Published claims about neural-network representations, as tests that can fail."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyrot import bars as bars
    from polyrot import cores as cores
    from polyrot.linalg import haar as haar
    from polyrot.linalg.all_pairs import align_pairs as align_pairs
    from polyrot.linalg.assignment import (
        nearest_signed_permutation as nearest_signed_permutation,
    )
    from polyrot.linalg.moments import Moments as Moments
    from polyrot.linalg.polar import polar_factor as polar_factor
    from polyrot.linalg.procrustes import Alignment as Alignment
    from polyrot.linalg.procrustes import align as align
    from polyrot.linalg.resampling import bootstrap as bootstrap
    from polyrot.sae.activations import GroupTopK as GroupTopK
    from polyrot.sae.activations import JumpReLU as JumpReLU
    from polyrot.sae.activations import ReLU as ReLU
    from polyrot.sae.activations import TopK as TopK
    from polyrot.sae.metrics import ev as ev
    from polyrot.sae.metrics import ev_published as ev_published
    from polyrot.sae.model import SAE as SAE
    from polyrot.suites.loading import load_suite as load_suite
    from polyrot.verdict.record import read_verdict as read_verdict

    __version__: str

# Imported on first use: `import polyrot`, the command line and the pytest plugin must
# not wait for torch.
_PUBLIC = {
    "bars": "polyrot.bars",
    "cores": "polyrot.cores",
    "haar": "polyrot.linalg.haar",
    "align_pairs": "polyrot.linalg.all_pairs",
    "bootstrap": "polyrot.linalg.resampling",
    "polar_factor": "polyrot.linalg.polar",
    "Moments": "polyrot.linalg.moments",
    "Alignment": "polyrot.linalg.procrustes",
    "align": "polyrot.linalg.procrustes",
    "nearest_signed_permutation": "polyrot.linalg.assignment",
    "GroupTopK": "polyrot.sae.activations",
    "JumpReLU": "polyrot.sae.activations",
    "ReLU": "polyrot.sae.activations",
    "TopK": "polyrot.sae.activations",
    "ev": "polyrot.sae.metrics",
    "ev_published": "polyrot.sae.metrics",
    "SAE": "polyrot.sae.model",
    "load_suite": "polyrot.suites.loading",
    "read_verdict": "polyrot.verdict.record",
}

__all__ = [
    "SAE",
    "Alignment",
    "GroupTopK",
    "JumpReLU",
    "Moments",
    "ReLU",
    "TopK",
    "__version__",
    "align",
    "align_pairs",
    "bars",
    "bootstrap",
    "cores",
    "ev",
    "ev_published",
    "haar",
    "load_suite",
    "nearest_signed_permutation",
    "polar_factor",
    "read_verdict",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("polyrot")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'polyrot' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    return module if module.__name__.endswith(f".{name}") else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
