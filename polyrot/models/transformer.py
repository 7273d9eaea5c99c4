"""The two-layer Dyck-3 transformer, stacked over seeds.

Architecture: arXiv 2605.24577, section Setup.  Pre-norm blocks of attention and
ReLU MLP, RMSNorm with a gain, no biases, untied embeddings, fixed analytic
positions, three unembeddings.  Every parameter has a leading *seed* axis: a
stack of models runs in the same few large operations as one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from polyrot.tasks import dyck

SHARED_IO = ("W_E", "W_U_tok", "W_U_depth", "W_U_valid")
"""The embedding and the unembeddings, which cohort A takes from seed 0, frozen."""

HEADS = {"token": "W_U_tok", "depth": "W_U_depth", "valid": "W_U_valid"}
"""Output heads and the tensor that reads each."""

Residual = Float[Tensor, "seed sequence position d_model"]
Logits = Float[Tensor, "seed sequence position label"]
State = dict[str, Tensor]


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the transformer; the defaults are the paper's 104,448 parameters."""

    layers: int = 2
    d_model: int = 64
    heads: int = 4
    d_head: int = 16
    d_mlp: int = 256
    vocabulary: int = dyck.VOCABULARY
    depths: int = dyck.MAX_DEPTH + 1
    context: int = dyck.CONTEXT
    norm_eps: float = 1e-5
    init_std: float = 0.02

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every trained tensor of one seed, by its published name."""
        head = (self.heads, self.d_head, self.d_model)
        shapes: dict[str, tuple[int, ...]] = {
            "W_E": (self.vocabulary, self.d_model),
            "W_U_tok": (self.vocabulary, self.d_model),
            "W_U_depth": (self.depths, self.d_model),
            "W_U_valid": (2, self.d_model),
            "ln_f.gain": (self.d_model,),
        }
        for layer in range(self.layers):
            block = f"blocks.{layer}"
            shapes |= {f"{block}.attn.W_{name}": head for name in "QKV"}
            shapes[f"{block}.attn.W_O"] = (self.heads, self.d_model, self.d_head)
            shapes[f"{block}.mlp.W_in"] = (self.d_mlp, self.d_model)
            shapes[f"{block}.mlp.W_out"] = (self.d_model, self.d_mlp)
            shapes[f"{block}.ln1.gain"] = (self.d_model,)
            shapes[f"{block}.ln2.gain"] = (self.d_model,)
        return shapes

    def sites(self) -> tuple[str, ...]:
        """Distinct residual sites, input to output.

        `resid_post.i` is also known as `resid_pre.(i+1)`; see `canonical_site`.
        """
        inner = (f"resid_{place}.{i}" for i in range(self.layers) for place in ("mid", "post"))
        return ("resid_pre.0", *inner)

    def places(self) -> tuple[str, ...]:
        """Places where a forward hook can read or replace a tensor.

        The sites; each layer's mixed values by head (`heads.0`, before the output matrix) and
        MLP output (`mlp.0`); and the stream as each reader sees it (`into.attn.0`,
        `into.mlp.0`, `into.unembed`), separate from the stream that goes on.
        """
        layers = range(self.layers)
        writers = (f"{branch}.{i}" for i in layers for branch in ("heads", "mlp"))
        readers = (f"into.{branch}.{i}" for i in layers for branch in ("attn", "mlp"))
        return (*self.sites(), *writers, *readers, "into.unembed")


def canonical_site(site: str) -> str:
    """Name `resid_pre.i` by the block that wrote it, `resid_post.(i-1)`."""
    place, _, layer = site.rpartition(".")
    if place == "resid_pre" and layer.isdigit() and int(layer) > 0:
        return f"resid_post.{int(layer) - 1}"
    return site


def analytic_positions(config: TransformerConfig) -> Float[Tensor, "position d_model"]:
    """Fixed position code, non-zero only in the first six residual dimensions."""
    t = torch.arange(config.context, dtype=torch.float64)
    angle = 2 * torch.pi * t / config.context
    code = torch.zeros(config.context, config.d_model, dtype=torch.float64)
    code[:, 0] = t / config.context
    code[:, 1] = 1 / (t + 1)
    code[:, 2] = torch.log(t + 1) / torch.log(torch.tensor(float(config.context)))
    code[:, 3] = t == 0
    code[:, 4] = torch.cos(angle)
    code[:, 5] = torch.sin(angle)
    return code.float()


def initial_state(config: TransformerConfig, seed: int) -> State:
    """Draw the weights of one seed: gains 1, everything else N(0, init_std^2)."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.ones(shape)
        if name.endswith("gain")
        else torch.randn(shape, generator=generator) * config.init_std
        for name, shape in config.shapes().items()
    }


def stack_states(states: Sequence[Mapping[str, Tensor]]) -> State:
    """Put several seeds' tensors on a leading seed axis."""
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


class StackedTransformer(nn.Module):
    """Several seeds of one transformer, run together along a leading seed axis."""

    W_pos: Tensor
    causal: Tensor

    def __init__(
        self,
        config: TransformerConfig,
        state: Mapping[str, Tensor],
        positions: Float[Tensor, "seed position d_model"] | None = None,
    ) -> None:
        """Build from stacked tensors `[seed, ...]`, as `stack_states` returns them.

        `positions` replaces the analytic position code: a model in another basis has it in
        that basis too.
        """
        super().__init__()
        self.config = config
        self.weights = nn.ParameterDict()
        self.seeds = len(state["W_E"])
        for name, shape in config.shapes().items():
            if name not in state or tuple(state[name].shape) != (self.seeds, *shape):
                found = tuple(state[name].shape) if name in state else "nothing"
                raise ValueError(
                    f"Expected state[{name!r}] of shape {(self.seeds, *shape)} but got {found}"
                )
            self.weights[_key(name)] = nn.Parameter(state[name].detach().clone())
        code = analytic_positions(config) if positions is None else positions[:, None]
        self.register_buffer("W_pos", code)
        causal = torch.full((config.context, config.context), float("-inf")).triu(1)
        self.register_buffer("causal", causal, persistent=False)
        # Torch's hooks work at every place; without one an identity costs nothing.
        self.places = nn.ModuleDict({_key(name): nn.Identity() for name in config.places()})

    def place(self, name: str) -> nn.Module:
        """Return the module whose output is the tensor at one of `config.places()`."""
        return self.places[_key(name)]

    def weight(self, name: str) -> Tensor:
        """Return a stacked tensor by its published name, for example `blocks.0.attn.W_Q`."""
        tensor: Tensor = self.weights[_key(name)]
        return tensor

    def state(self, seed: int) -> State:
        """Copy the tensors of the model at position `seed` of the stack."""
        return {n: self.weight(n)[seed].detach().cpu().clone() for n in self.config.shapes()}

    def take(self, *indices: int) -> "StackedTransformer":
        """Stack the models at some positions of this stack, as in `models.take(0)`."""
        state = {name: self.weight(name)[list(indices)] for name in self.config.shapes()}
        positions = self.W_pos[list(indices), 0] if self.W_pos.ndim == 4 else None
        taken = StackedTransformer(self.config, state, positions)
        return taken.to(self.W_pos.device)

    def positions(self, index: int) -> Float[Tensor, "position d_model"]:
        """Return the position code of the model at a position of the stack."""
        code = self.W_pos if self.W_pos.ndim == 2 else self.W_pos[index, 0]
        return code.cpu()

    def freeze(self, names: Collection[str]) -> None:
        """Exclude tensors from training."""
        for name in names:
            self.weight(name).requires_grad_(False)

    def forward(
        self, tokens: Int[Tensor, "seed sequence position"]
    ) -> tuple[dict[str, Logits], dict[str, Residual]]:
        """Return the logits of the three heads and the residual stream at every site."""
        seeds, _, positions = tokens.shape
        offset = torch.arange(seeds, device=tokens.device) * self.config.vocabulary
        x = F.embedding(tokens + offset[:, None, None], self.weight("W_E").flatten(0, 1))
        return self.resume("resid_pre.0", x + self.W_pos[..., :positions, :])

    def resume(self, site: str, x: Residual) -> tuple[dict[str, Logits], dict[str, Residual]]:
        """Run the rest of the model from a residual stream `x` at a site, hooks included.

        After the last attention tokens do not interact: any selection of them may run alone.
        """
        sites = self.config.sites()
        start = sites.index(canonical_site(site))
        x = self.place(sites[start])(x)
        residual = {sites[start]: x}
        for name in sites[start + 1 :]:
            branch, layer = name.split(".")
            write = self._attention if branch == "resid_mid" else self._mlp
            x = self.place(name)(x + write(x, int(layer)))
            residual[name] = x
        return self.unembed(x), residual

    def unembed(self, x: Residual) -> dict[str, Logits]:
        """Read the three heads from the residual stream after the last block."""
        x = self.place("into.unembed")(x)
        gain = self.weight("ln_f.gain")
        read = torch.cat([self.weight(name) for name in HEADS.values()], dim=1) * gain[:, None]
        logits = _linear(self._normalise(x), read)
        sizes = [self.weight(name).shape[1] for name in HEADS.values()]
        return dict(zip(HEADS, logits.split(sizes, dim=-1), strict=True))

    def _normalise(self, x: Residual) -> Residual:
        # RMSNorm without its gain: the gain is folded into the weight that reads
        # the result, which is the same function on a much smaller tensor.
        return F.rms_norm(x, (self.config.d_model,), eps=self.config.norm_eps)

    def _attention(self, x: Residual, layer: int) -> Residual:
        config = self.config
        x = self.place(f"into.attn.{layer}")(x)
        seeds, sequences, positions, _ = x.shape
        block = f"blocks.{layer}"
        gain = self.weight(f"{block}.ln1.gain")[:, None]
        query = self.weight(f"{block}.attn.W_Q") * config.d_head**-0.5
        key, value = (self.weight(f"{block}.attn.W_{name}") for name in "KV")
        read = torch.cat([w.flatten(1, 2) for w in (query, key, value)], dim=1) * gain
        qkv = _linear(self._normalise(x), read)
        qkv = qkv.view(seeds * sequences, positions, 3, config.heads, config.d_head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).reshape(3, -1, positions, config.d_head)
        # Written out: with 64 positions and 16 dimensions a head, CPUs run this about
        # twice as fast as the fused kernel, and train fastest in bfloat16.
        causal = self.causal[:positions, :positions].to(q.dtype)
        scores = torch.baddbmm(causal, q, k.mT)
        mixed = torch.bmm(scores.softmax(-1), v)
        mixed = mixed.view(-1, config.heads, positions, config.d_head).transpose(1, 2)
        mixed = mixed.reshape(seeds, sequences, positions, config.heads, config.d_head)
        mixed = self.place(f"heads.{layer}")(mixed).flatten(3)
        # [seed, head, d_model, d_head] -> [seed, d_model, head * d_head]
        write = self.weight(f"{block}.attn.W_O").transpose(1, 2).flatten(2)
        return _linear(mixed, write)

    def _mlp(self, x: Residual, layer: int) -> Residual:
        block = f"blocks.{layer}"
        x = self.place(f"into.mlp.{layer}")(x)
        gain = self.weight(f"{block}.ln2.gain")[:, None]
        hidden = _linear(self._normalise(x), self.weight(f"{block}.mlp.W_in") * gain)
        written: Residual = self.place(f"mlp.{layer}")(
            _linear(F.relu(hidden), self.weight(f"{block}.mlp.W_out"))
        )
        return written


def _linear(
    x: Float[Tensor, "seed sequence position in"], weight: Float[Tensor, "seed out in"]
) -> Float[Tensor, "seed sequence position out"]:
    product = torch.bmm(x.flatten(1, 2), weight.mT)
    return product.view(*x.shape[:3], weight.shape[1])


def _key(name: str) -> str:
    # ParameterDict registers attributes, whose names may not contain dots.
    return name.replace(".", "/")
