"""The Dyck-3 transformer and its training as one would write them: one seed, ordinary modules."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polyrot.models.training import TASKS, TrainingConfig
from polyrot.models.transformer import HEADS, TransformerConfig, analytic_positions
from polyrot.tasks import dyck


class Attention(nn.Module):
    """Causal attention of several heads, without biases."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.heads * config.d_head
        self.heads = config.heads
        self.qkv = nn.Linear(config.d_model, 3 * width, bias=False)
        self.out = nn.Linear(width, config.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.ln1 = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.attention = Attention(config)
        self.ln2 = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.mlp = nn.Sequential(
            nn.Linear(config.d_model, config.d_mlp, bias=False),
            nn.ReLU(),
            nn.Linear(config.d_mlp, config.d_model, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class Plain(nn.Module):
    """The transformer as one would write it: one seed, ordinary modules."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.d_model)
        self.register_buffer("positions", analytic_positions(config))
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.layers)))
        self.ln_f = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        sizes = {"token": config.vocabulary, "depth": config.depths, "valid": 2}
        self.heads = nn.ModuleDict(
            {head: nn.Linear(config.d_model, size, bias=False) for head, size in sizes.items()}
        )

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        x = self.ln_f(self.blocks(x))
        return {name: head(x) for name, head in self.heads.items()}

    @classmethod
    def of(cls, config: TransformerConfig, state: Mapping[str, Tensor]) -> "Plain":
        """Build from one seed's published tensors."""
        weights = {"embedding.weight": state["W_E"], "ln_f.weight": state["ln_f.gain"]}
        for head, name in HEADS.items():
            weights[f"heads.{head}.weight"] = state[name]
        for layer in range(config.layers):
            block = f"blocks.{layer}"
            read = torch.cat([state[f"{block}.attn.W_{name}"].flatten(0, 1) for name in "QKV"])
            write = state[f"{block}.attn.W_O"].transpose(0, 1).flatten(1)
            weights |= {
                f"{block}.attention.qkv.weight": read,
                f"{block}.attention.out.weight": write,
                f"{block}.mlp.0.weight": state[f"{block}.mlp.W_in"],
                f"{block}.mlp.2.weight": state[f"{block}.mlp.W_out"],
                f"{block}.ln1.weight": state[f"{block}.ln1.gain"],
                f"{block}.ln2.weight": state[f"{block}.ln2.gain"],
            }
        model = cls(config)
        model.load_state_dict({**weights, "positions": model.positions})
        return model


def loss_of(model: Plain, batch: dyck.LabelledSequences) -> Tensor:
    """Sum the mean cross-entropies of the heads, over a batch padded to its longest."""
    width = int(batch.lengths.max())
    device = model.positions.device
    logits = model(torch.from_numpy(batch.tokens[:, :width]).to(device))
    total = torch.zeros((), device=device)
    for head, labels in batch.labels.items():
        target = torch.from_numpy(labels[:, :width]).to(device).flatten()
        own = logits[head].float().flatten(0, 1)
        total = total + F.cross_entropy(own, target, ignore_index=dyck.IGNORE)
    return total


def train_alone(model: Plain, seed: int, config: TrainingConfig) -> None:
    """Train one seed by the recipe."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True,
    )
    device = model.positions.device.type
    for step in range(config.steps):
        batch = TASKS[config.task](config.batch, rng=np.random.default_rng([seed, step]))
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=config.bfloat16):
            loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        for settings in optimizer.param_groups:
            settings["lr"] = config.rate(step)
        optimizer.step()
