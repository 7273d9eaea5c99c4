"""The post-norm transformer of the cores paper, stacked over seeds.

Architecture: arXiv 2602.22600, released code: PyTorch's `nn.TransformerEncoderLayer` with its
defaults (a norm after each branch, ReLU, biases, dropout 0.1) under a causal mask, learned
positions, and an untied unembedding with a bias.  Every parameter has a leading *seed* axis.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from polyrot.models.transformer import State, canonical_site

Residual = Float[Tensor, "seed sequence position d_model"]
Asked = Float[Tensor, "seed sequence _ d_model"]
"""The residual stream at every position, or only at the last."""
Logits = Float[Tensor, "seed sequence _ label"]
"""At the same positions."""


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the transformer; the defaults are the paper's for the Markov chain."""

    layers: int = 1
    d_model: int = 64
    heads: int = 4
    d_mlp: int = 256
    vocabulary: int = 4
    context: int = 64
    dropout: float = 0.1
    norm_eps: float = 1e-5

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every trained tensor of one seed, by PyTorch's name."""
        d, hidden = self.d_model, self.d_mlp
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocabulary, d),
            "positions.weight": (self.context, d),
            "lm_head.weight": (self.vocabulary, d),
            "lm_head.bias": (self.vocabulary,),
        }
        for i in range(self.layers):
            block = f"layers.{i}"
            shapes |= {
                f"{block}.self_attn.in_proj_weight": (3 * d, d),
                f"{block}.self_attn.in_proj_bias": (3 * d,),
                f"{block}.self_attn.out_proj.weight": (d, d),
                f"{block}.self_attn.out_proj.bias": (d,),
                f"{block}.linear1.weight": (hidden, d),
                f"{block}.linear1.bias": (hidden,),
                f"{block}.linear2.weight": (d, hidden),
                f"{block}.linear2.bias": (d,),
            }
            for norm in ("norm1", "norm2"):
                shapes |= {f"{block}.{norm}.{name}": (d,) for name in ("weight", "bias")}
        return shapes

    def sites(self) -> tuple[str, ...]:
        """Distinct residual sites, input to output; `resid_mid.i` is after the first norm."""
        inner = (f"resid_{place}.{i}" for i in range(self.layers) for place in ("mid", "post"))
        return ("resid_pre.0", *inner)


class PlainEncoder(nn.Module):
    """One model made of PyTorch's layers, which draw the initial weights."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.d_model)
        self.positions = nn.Embedding(config.context, config.d_model)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.d_model,
                config.heads,
                config.d_mlp,
                config.dropout,
                layer_norm_eps=config.norm_eps,
                batch_first=True,
            )
            for _ in range(config.layers)
        )
        self.lm_head = nn.Linear(config.d_model, config.vocabulary)

    def forward(
        self, tokens: Int[Tensor, "sequence position"]
    ) -> Float[Tensor, "sequence position label"]:
        """Return the logits at every position."""
        length = tokens.shape[1]
        causal = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.embedding(tokens) + self.positions.weight[:length]
        for layer in self.layers:
            x = layer(x, src_mask=causal, is_causal=True)
        logits: Tensor = self.lm_head(x)
        return logits


def initial_state(config: EncoderConfig, seed: int) -> State:
    """Draw the weights of one seed, as PyTorch initialises its layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = PlainEncoder(config).state_dict()
    return {name: state[name].clone() for name in config.shapes()}


class StackedEncoder(nn.Module):
    """Several seeds of one post-norm transformer, run together along a leading seed axis."""

    causal: Tensor

    def __init__(self, config: EncoderConfig, state: Mapping[str, Tensor]) -> None:
        """Build from stacked tensors `[seed, ...]`, as `stack_states` returns them."""
        super().__init__()
        self.config = config
        self.weights = nn.ParameterDict()
        self.seeds = len(state["embedding.weight"])
        for name, shape in config.shapes().items():
            if name not in state or tuple(state[name].shape) != (self.seeds, *shape):
                found = tuple(state[name].shape) if name in state else "nothing"
                raise ValueError(
                    f"Expected state[{name!r}] of shape {(self.seeds, *shape)} but got {found}"
                )
            self.weights[_key(name)] = nn.Parameter(state[name].detach().float().clone())
        causal = torch.full((config.context, config.context), float("-inf")).triu(1)
        self.register_buffer("causal", causal, persistent=False)
        self.drop: Callable[[Tensor], Tensor] = drop_nothing

    def weight(self, name: str) -> Tensor:
        """Return a stacked tensor by PyTorch's name, for example `layers.0.linear1.weight`."""
        tensor: Tensor = self.weights[_key(name)]
        return tensor

    def state(self, seed: int) -> State:
        """Copy the tensors of the model at position `seed` of the stack."""
        return {n: self.weight(n)[seed].detach().cpu().clone() for n in self.config.shapes()}

    def forward(
        self, tokens: Int[Tensor, "seed sequence position"], *, last: bool = False
    ) -> tuple[Logits, dict[str, Asked]]:
        """Return the logits and the residual stream at every site.

        With `last` the last layer and the unembedding run only at the last position.
        """
        seeds, _, positions = tokens.shape
        offset = torch.arange(seeds, device=tokens.device) * self.config.vocabulary
        weight = self.weight("embedding.weight")
        x = F.embedding(tokens + offset[:, None, None], weight.flatten(0, 1))
        x = x + self.weight("positions.weight")[:, None, :positions]
        return self.resume("resid_pre.0", x, last=last)

    def resume(
        self, site: str, x: Residual, *, last: bool = False
    ) -> tuple[Logits, dict[str, Asked]]:
        """Run the rest of the model from a residual stream `x` at a site."""
        sites = self.config.sites()
        start = sites.index(canonical_site(site))
        residual = {sites[start]: x}
        for name in sites[start + 1 :]:
            place, number = name.split(".")
            layer = int(number)
            if place == "resid_mid":
                final = last and layer == self.config.layers - 1
                x = self._norm(self._attended(x, layer, last=final), f"layers.{layer}.norm1")
            else:
                x = self._norm(x + self.drop(self._mlp(x, layer)), f"layers.{layer}.norm2")
            residual[name] = x
        return self.unembed(x), residual

    def unembed(self, x: Residual) -> Logits:
        """Read the logits from the residual stream after the last layer."""
        return self._linear(x, "lm_head")

    def _attended(self, x: Residual, layer: int, *, last: bool) -> Asked:
        config, block = self.config, f"layers.{layer}.self_attn"
        seeds, sequences, positions, d = x.shape
        qkv = _linear(
            x, self.weight(f"{block}.in_proj_weight"), self.weight(f"{block}.in_proj_bias")
        )
        qkv = qkv.view(seeds * sequences, positions, 3, config.heads, d // config.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).reshape(3, -1, positions, d // config.heads)
        first = positions - 1 if last else 0
        q, x = q[:, first:], x[:, :, first:]
        causal = self.causal[first:positions, :positions].to(q.dtype)
        scores = torch.baddbmm(causal, q * (d // config.heads) ** -0.5, k.mT)
        mixed = torch.bmm(self.drop(scores.softmax(-1)), v)
        mixed = mixed.view(seeds, sequences, config.heads, -1, d // config.heads)
        mixed = mixed.transpose(2, 3).reshape(x.shape)
        return x + self.drop(self._linear(mixed, f"{block}.out_proj"))

    def _mlp(self, x: Residual, layer: int) -> Residual:
        hidden = F.relu(self._linear(x, f"layers.{layer}.linear1"))
        return self._linear(self.drop(hidden), f"layers.{layer}.linear2")

    def _norm(self, x: Residual, name: str) -> Residual:
        gain, bias = (self.weight(f"{name}.{part}")[:, None, None] for part in ("weight", "bias"))
        return F.layer_norm(x, (self.config.d_model,), eps=self.config.norm_eps) * gain + bias

    def _linear(self, x: Residual, name: str) -> Tensor:
        return _linear(x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))


def drop_nothing(x: Tensor) -> Tensor:
    """Return `x` itself, in place of dropout outside training."""
    return x


def _linear(
    x: Float[Tensor, "seed sequence position in"],
    weight: Float[Tensor, "seed out in"],
    bias: Float[Tensor, "seed out"],
) -> Float[Tensor, "seed sequence position out"]:
    product = torch.baddbmm(bias[:, None], x.flatten(1, 2), weight.mT)
    return product.view(*x.shape[:3], weight.shape[1])


def _key(name: str) -> str:
    # ParameterDict registers attributes, whose names may not contain dots.
    return name.replace(".", "/")
