"""Readers of prompts for which the truth is known: another basis, and a planted axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.interventions.blocks import Edit
from polyrot.suites.agreement import Chosen, Observed, Placed, Reader


@dataclass(frozen=True)
class RotatedReader:
    """A reader whose states are expressed in a rotated basis; it says what the other says."""

    reader: Reader
    rotation: Float[Tensor, "d_model d_model"]
    """Orthogonal: states become `x @ rotation`."""

    def observe(self) -> Observed:
        own, turn = self.reader.observe(), self.rotation
        # A gradient turns as states do, because the rotation is orthogonal.
        return Observed((own.states.double() @ turn), (own.gradients.double() @ turn), own.margins)

    def edited_margins(self, edits: Sequence[Placed], chosen: Chosen) -> Float[Tensor, "edit _"]:
        turned = [(layer, self._turned(edit)) for layer, edit in edits]
        return self.reader.edited_margins(turned, chosen)

    def _turned(self, edit: Edit) -> Edit:
        turn = self.rotation
        return lambda x: (edit(x.double() @ turn.to(x.device)) @ turn.mT.to(x.device)).to(x.dtype)


class PlantedReader:
    """A world in which agreement is one axis: states in which one direction carries the label.

    The margin is what is left of the state along it, at each of two layers.  The axis is
    estimated: with n prompts in d dimensions what its estimate misses, and so leaves behind when
    it is removed, tells the label to the order of sqrt(d / n).
    """

    def __init__(self, plural: Bool[np.ndarray, " prompt"], *, d_model: int, seed: int) -> None:
        """Draw an axis and states about it."""
        generator = torch.Generator().manual_seed(seed)
        axis = torch.randn(d_model, generator=generator, dtype=torch.float64)
        self._axis = axis / axis.norm()
        sign = 2 * torch.from_numpy(plural).double() - 1
        noise = torch.randn(2, len(sign), d_model, generator=generator, dtype=torch.float64)
        self._states = 1.5 * sign[:, None] * self._axis + noise
        # Behind both layers stands the same along the axis; elsewhere they differ.
        along = self._states[0] @ self._axis
        self._states[1] += (along - self._states[1] @ self._axis)[:, None] * self._axis

    def observe(self) -> Observed:
        gradients = self._axis.expand_as(self._states)
        return Observed(self._states, gradients, self._states[-1] @ self._axis)

    def edited_margins(self, edits: Sequence[Placed], chosen: Chosen) -> Float[Tensor, "edit _"]:
        rows = self._states[:, chosen]
        return torch.stack([edit(rows[layer]) @ self._axis for layer, edit in edits])
