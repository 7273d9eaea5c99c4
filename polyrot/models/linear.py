"""A linear residual network, in which the effects of interventions can be computed by hand."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LinearBlock(nn.Module):
    """Adds a linear function of the residual stream to it."""

    def __init__(self, matrix: Float[Tensor, "d_model d_model"]) -> None:
        """Take the map from the stream to what the block adds."""
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Return the stream after the block."""
        return x + x @ self.matrix


class LinearModel(nn.Module):
    """Linear blocks in sequence and a linear readout; its places are a language model's."""

    def __init__(
        self,
        matrices: Float[Tensor, "block d_model d_model"],
        readout: Float[Tensor, " d_model"],
    ) -> None:
        """Take each block's map and the readout vector."""
        super().__init__()
        self.blocks = nn.ModuleList(LinearBlock(matrix) for matrix in matrices)
        self.norm = nn.Identity()
        self.readout = nn.Parameter(readout)

    @classmethod
    def random(cls, blocks: int, d_model: int, seed: int) -> "LinearModel":
        """Draw a model whose blocks matter about equally."""
        generator = torch.Generator().manual_seed(seed)
        matrices = torch.randn(blocks, d_model, d_model, generator=generator)
        readout = torch.randn(d_model, generator=generator)
        return cls(matrices / (2 * d_model) ** 0.5, readout)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch"]:
        """Run the blocks on a residual stream and read the output."""
        for block in self.blocks:
            x = block(x)
        output: Tensor = self.norm(x) @ self.readout
        return output
