"""The library that wrote a directory, identified by its files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from polyrot.sae.formats import dictionary_learning, saelens, sparsify
from polyrot.sae.model import SAE


@dataclass(frozen=True)
class Layout:
    """The two files of a layout, and the function that reads them."""

    library: str
    config: str
    weights: str
    read: Callable[[Path], SAE]

    @property
    def files(self) -> tuple[str, str]:
        return self.config, self.weights


LAYOUTS = tuple(
    Layout(library, module.CONFIG_FILE, module.WEIGHTS_FILE, module.read)
    for library, module in (
        ("SAELens", saelens),
        ("sparsify", sparsify),
        ("dictionary_learning", dictionary_learning),
    )
)


def read(folder: Path) -> SAE:
    """Read the only autoencoder in a directory; see `SAE.load`."""
    present = {name for layout in LAYOUTS for name in layout.files if (folder / name).is_file()}
    complete = [layout for layout in LAYOUTS if present.issuperset(layout.files)]
    if len(complete) == 1:
        return complete[0].read(folder)
    expected = (
        f"Expected {folder} to hold the files of one layout ("
        + ", ".join(f"{each.library}: {each.config} and {each.weights}" for each in LAYOUTS)
        + f") but got {sorted(present) or 'none of them'}"
    )
    if complete:
        raise ValueError(f"{expected}; move all but one autoencoder elsewhere")
    raise FileNotFoundError(expected)
