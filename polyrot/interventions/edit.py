"""Interventions as context managers, which leave the model unchanged even after an error."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from polyrot.interventions.blocks import Edit
from polyrot.interventions.places import Handle, places


@contextmanager
def edited(model: nn.Module, edits: Mapping[str, Edit]) -> Iterator[None]:
    """Replace the tensors at some places by functions of them.

    Args:
        model: a small transformer, or a causal language model of `transformers`.
        edits: by place (see `polyrot.interventions.places`), a function from the tensor to the
            one that replaces it.

    Raises:
        ValueError: where a place does not exist.
    """
    known = places(model)
    handles: list[Handle] = []
    try:
        for name, edit in edits.items():
            handles.append(known.attach(name, edit))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recorded(model: nn.Module, *names: str) -> Iterator[dict[str, Tensor]]:
    """Record the tensors at some places in the latest run, by place."""
    kept: dict[str, Tensor] = {}

    def keeping(name: str) -> Edit:
        def keep(x: Tensor) -> Tensor:
            kept[name] = x
            return x

        return keep

    with edited(model, {name: keeping(name) for name in names}):
        yield kept


@contextmanager
def adding(model: nn.Module, site: str, vector: Tensor) -> Iterator[None]:
    """Add a vector to the residual stream at a site, at every position.

    Args:
        model: as for `edited`.
        site: for example `resid_mid.1`.
        vector: `[d_model]`, or `[seed, d_model]` for a stack.
    """
    name = places(model).check(site, among="sites")
    with edited(model, {name: lambda x: x + along(vector, x)}):
        yield


@contextmanager
def ablated(model: nn.Module, means: Mapping[str, Tensor]) -> Iterator[None]:
    """Replace the outputs of components by given means, at every position.

    Args:
        model: as for `edited`.
        means: by component, `[d]`, or `[seed, d]` for a stack; `mean_outputs` measures them.
    """
    known = places(model)
    names = {known.check(name, among="components"): mean for name, mean in means.items()}
    with edited(model, {name: _constant(mean) for name, mean in names.items()}):
        yield


def along(vector: Tensor, x: Tensor) -> Tensor:
    """Reshape `[d]` or `[seed, d]` to broadcast over `[..., d]` or `[seed, ..., d]`."""
    leading, d = vector.shape[:-1], vector.shape[-1]
    return vector.view(*leading, *(1,) * (x.ndim - vector.ndim), d)


def _constant(mean: Tensor) -> Edit:
    return lambda x: along(mean, x).expand_as(x)
