"""Edits around the blocks of a language model, through forward hooks.

A block has four places: the stream before it, the stream as it sees it, what it adds, and the
stream after it.  Edits run in that order, whatever the order in which they were added; one pair
of hooks per block serves all edits and is removed with the last.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Edit = Callable[[Tensor], Tensor]
"""A function from the tensor at a place to its replacement."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class BlockEdits:
    """The edits around one block."""

    def __init__(self) -> None:
        """Start without edits and hooks."""
        self._edits: dict[str, list[Edit]] = {
            kind: [] for kind in ("before", "seen", "added", "after")
        }
        self._hooks: list[RemovableHandle] = []
        self._seen: Tensor | None = None
        self._hidden: Tensor | None = None

    def add(self, block: nn.Module, kind: str, edit: Edit) -> "Added":
        """Apply an edit in every run until it is removed."""
        if not self._hooks:
            self._hooks = [
                block.register_forward_pre_hook(self._before, with_kwargs=True),
                block.register_forward_hook(self._after),
            ]
        self._edits[kind].append(edit)
        return Added(self, kind, edit)

    def remove(self, kind: str, edit: Edit) -> None:
        self._edits[kind].remove(edit)
        if not any(self._edits.values()):
            for hook in self._hooks:
                hook.remove()
            self._hooks = []

    def _before(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments:
        stream = self._made("before", args[0] if args else kwargs["hidden_states"])
        self._seen = self._made("seen", stream)
        self._hidden = None if self._seen is stream else stream - self._seen
        if args:
            return (self._seen, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": self._seen}

    def _after(self, module: nn.Module, args: object, output: Any) -> Any:
        stream = output[0] if isinstance(output, tuple) else output
        if self._edits["added"] and self._seen is not None:
            added = stream - self._seen
            changed = self._made("added", added)
            # If nothing changed, nothing must be rounded.
            stream = stream if changed is added else self._seen + changed
        if self._hidden is not None:
            stream = stream + self._hidden
        stream = self._made("after", stream)
        self._seen = self._hidden = None
        return (stream, *output[1:]) if isinstance(output, tuple) else stream

    def _made(self, kind: str, x: Tensor) -> Tensor:
        for edit in self._edits[kind]:
            x = edit(x)
        return x


@dataclass(frozen=True)
class Added:
    """An added edit; `remove` undoes it."""

    edits: BlockEdits
    kind: str
    edit: Edit

    def remove(self) -> None:
        self.edits.remove(self.kind, self.edit)


_known: WeakKeyDictionary[nn.Module, BlockEdits] = WeakKeyDictionary()


def block_edits(block: nn.Module) -> BlockEdits:
    """Return the edits around a block, the same object for all callers."""
    return _known.setdefault(block, BlockEdits())


def edit_input(module: nn.Module, edit: Edit) -> RemovableHandle:
    """Edit the stream that is a module's first argument."""
    return module.register_forward_pre_hook(lambda m, args: (edit(args[0]), *args[1:]))
