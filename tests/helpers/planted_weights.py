"""Small weights in float64, and images of them under parts of a symmetry."""

from dataclasses import replace

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from polyrot.models.transformer import (
    StackedTransformer,
    State,
    TransformerConfig,
    analytic_positions,
    stack_states,
)
from polyrot.symmetry.group import Symmetry

CONFIG = TransformerConfig(d_model=12, heads=3, d_head=4, d_mlp=8)
EYE = torch.eye(CONFIG.d_model, dtype=torch.float64)
TOKENS = torch.randint(40, (1, 6, 20), generator=torch.Generator().manual_seed(0))
BLOCKS = ("blocks.0", "blocks.1")

seeds = st.integers(0, 10_000)
few = settings(max_examples=6)


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def model(seed: int) -> State:
    """Weights in float64, large enough for outputs far from linear, and uneven gains."""
    state = {}
    for i, (name, shape) in enumerate(CONFIG.shapes().items()):
        drawn = normal(*shape, seed=100 * seed + i)
        state[name] = 1 + 0.3 * drawn if name.endswith("gain") else 0.5 * drawn
    return state


def outputs(state: State, positions: Tensor | None = None) -> Tensor:
    """Logits of all three heads, in float64."""
    code = None if positions is None else positions[None]
    logits, _ = StackedTransformer(CONFIG, stack_states([state]), code).double()(TOKENS)
    return torch.cat(list(logits.values()), dim=-1).detach()


def turned_positions(symmetry: Symmetry) -> Tensor:
    """Positions of the image, in float64."""
    return analytic_positions(CONFIG).double() @ symmetry.residual


def only(symmetry: Symmetry, *parts: str) -> Symmetry:
    """Keep some parts of every layer; the rest, and the residual basis, stay as they are."""
    layers = [
        replace(plain, **{part: getattr(layer, part) for part in parts})
        for plain, layer in zip(Symmetry.identity(CONFIG).layers, symmetry.layers, strict=True)
    ]
    return Symmetry(tuple(layers))


def rotation_only(turn: Tensor) -> Symmetry:
    return replace(Symmetry.identity(CONFIG), residual=turn)


def small_turn(seed: int, size: float) -> Tensor:
    x = normal(CONFIG.d_model, CONFIG.d_model, seed=seed)
    return torch.linalg.matrix_exp(size * (x - x.T))


def same(actual: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def distance(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max())
