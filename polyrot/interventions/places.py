"""Where interventions act: names for places in a model, and the hooks that reach them.

| | small transformer | language model |
|---|---|---|
| site, the residual stream itself | `resid_pre.0`, `resid_mid.1`, `resid_post.1` | `resid_post.3` |
| component, what is written into it | `head.0.3` (layer, head), `mlp.1` | `block.3` |
| reader, the stream as one part sees it | `into.attn.1`, `into.mlp.0` | `into.block.3` |

Both have the reader `into.unembed`.  A head is read and replaced before its output matrix,
`[..., d_head]`, in which its contribution to the stream is linear.  A block of a language model
is what it adds to the stream, its output minus its input.
"""

from abc import ABC, abstractmethod
from operator import attrgetter
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from polyrot.interventions.blocks import Edit, block_edits, edit_input
from polyrot.models.linear import LinearModel
from polyrot.models.transformer import StackedTransformer, canonical_site

UNEMBED = "into.unembed"
FINAL_NORM = "final_norm"
"""The output of a language model's last norm: not a residual stream, though papers read it as one
(`hidden_states[-1]` of GPT-NeoX in `transformers`).  Not among `Places.sites`."""


@runtime_checkable
class Handle(Protocol):
    """Removes an edit."""

    def remove(self) -> None: ...


class Places(ABC):
    """The places of one model, in the order in which a run reaches them."""

    sites: tuple[str, ...]
    components: tuple[str, ...]
    readers: tuple[str, ...]

    @abstractmethod
    def attach(self, name: str, edit: Edit) -> Handle:
        """Apply `edit` at a place until the handle is removed."""

    def check(self, name: str, *, among: str = "") -> str:
        """Return the canonical name of a place, or raise ValueError that lists the known ones."""
        kinds = (among,) if among else ("sites", "components", "readers")
        known = [place for kind in kinds for place in getattr(self, kind)]
        if canonical_site(name) not in known:
            raise ValueError(f"Expected a place among {', '.join(known)} but got {name!r}")
        return canonical_site(name)


class SmallPlaces(Places):
    """Places in the small transformer, which names them itself."""

    def __init__(self, model: StackedTransformer) -> None:
        """Name the places of a stack."""
        layers, heads = range(model.config.layers), range(model.config.heads)
        self._model = model
        self.sites = model.config.sites()
        self.components = tuple(
            name for i in layers for name in (*(f"head.{i}.{h}" for h in heads), f"mlp.{i}")
        )
        inner = (f"into.{branch}.{i}" for i in layers for branch in ("attn", "mlp"))
        self.readers = (*inner, UNEMBED)

    def attach(self, name: str, edit: Edit) -> Handle:
        kind, *numbers = self.check(name).split(".")
        if kind != "head":
            module = self._model.place(canonical_site(name))
            return module.register_forward_hook(lambda m, args, output: edit(output))
        layer, head = map(int, numbers)

        def replaced(module: nn.Module, args: object, output: Tensor) -> Tensor:
            changed = output.clone()
            changed[..., head, :] = edit(output[..., head, :])
            return changed

        return self._model.place(f"heads.{layer}").register_forward_hook(replaced)


FAMILIES = {
    "GPT-NeoX": ("gpt_neox.layers", "gpt_neox.final_layer_norm"),
    "GPT-2": ("transformer.h", "transformer.ln_f"),
    "Llama": ("model.layers", "model.norm"),
}
"""Paths of the blocks and the last norm in causal language models of `transformers`."""


KINDS = {"resid_pre": "before", "into.block": "seen", "block": "added", "resid_post": "after"}
"""Where a place lies around its block, by kind of place."""


class LanguagePlaces(Places):
    """Places in a causal language model of `transformers`, reached through its blocks."""

    def __init__(self, blocks: nn.ModuleList, norm: nn.Module) -> None:
        """Name the places of a model with these blocks followed by this norm."""
        self._blocks, self._norm = blocks, norm
        layers = range(len(blocks))
        self.sites = ("resid_pre.0", *(f"resid_post.{i}" for i in layers))
        self.components = tuple(f"block.{i}" for i in layers)
        self.readers = (*(f"into.block.{i}" for i in layers), UNEMBED)

    def attach(self, name: str, edit: Edit) -> Handle:
        if name == FINAL_NORM:
            return self._norm.register_forward_hook(lambda m, args, output: edit(output))
        name = self.check(name)
        if name == UNEMBED:
            return edit_input(self._norm, edit)
        kind, _, layer = name.rpartition(".")
        block = self._blocks[int(layer)]
        return block_edits(block).add(block, KINDS[kind], edit)


def places(model: nn.Module) -> Places:
    """Name the places of a model.

    Raises:
        TypeError: where it is neither a small transformer nor a causal language model of the
            GPT-NeoX, GPT-2 or Llama family.
    """
    if isinstance(model, StackedTransformer):
        return SmallPlaces(model)
    if isinstance(model, LinearModel):
        return LanguagePlaces(model.blocks, model.norm)
    for paths in FAMILIES.values():
        try:
            blocks, norm = attrgetter(*paths)(model)
        except AttributeError:
            continue
        return LanguagePlaces(blocks, norm)
    raise TypeError(
        "Expected model to be a StackedTransformer, or a causal language model of one of the "
        f"families {', '.join(FAMILIES)}, but got {type(model).__name__}"
    )
