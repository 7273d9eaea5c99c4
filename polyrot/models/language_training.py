"""Training of small causal language models from scratch, resumable.

Built with `transformers`: the GPT-NeoX architecture (rotary positions, attention and MLP in
parallel, untied embeddings) or GPT-2's (learned positions, attention before MLP, tied embeddings).
Every batch is a function of (seed, step), so a resumed run equals an uninterrupted one, and seeds
share neither their initial weights nor the order of their data.
"""

import hashlib
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn import functional as F

from polyrot.cache import content_key
from polyrot.files import write_atomically
from polyrot.models.resumable import saving
from polyrot.models.schedule import warm_up_then_cosine
from polyrot.progress import Progress, silent
from polyrot.tasks.text import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IGNORE = -100


@dataclass(frozen=True)
class LanguageConfig:
    """What determines a trained language model, apart from its seed and its text."""

    vocabulary: int
    d_model: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 128
    steps: int = 2_500
    batch: int = 32
    learning_rate: float = 3e-3
    warmup: int = 100
    final_fraction: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.01
    clip: float = 1.0
    bfloat16: bool = True
    two_back: bool = False
    """Train on another task instead of text: repeat, of uniformly random tokens, the one two
    places back.  For the models of controls."""
    architecture: Literal["gpt-neox", "gpt2"] = "gpt-neox"
    rows: bool = False
    """Does the text consist of rows of `context` + 1 tokens, each beginning at the start of a
    text?  Otherwise a window begins anywhere."""

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then cosine."""
        return warm_up_then_cosine(
            step,
            self.steps,
            peak=self.learning_rate,
            warmup=self.warmup,
            final_fraction=self.final_fraction,
        )


def new_model(config: LanguageConfig, seed: int) -> "PreTrainedModel":
    """Draw the untrained model of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _gpt2(config) if config.architecture == "gpt2" else _gpt_neox(config)


def _gpt_neox(config: LanguageConfig) -> "PreTrainedModel":
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.d_model,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.d_model,
            max_position_embeddings=config.context,
            bos_token_id=0,
            eos_token_id=0,
            use_cache=False,
        )
    )


def _gpt2(config: LanguageConfig) -> "PreTrainedModel":
    """Build GPT-2 without dropout: models this small see their text a few times only."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocabulary,
            n_embd=config.d_model,
            n_layer=config.layers,
            n_head=config.heads,
            n_positions=config.context,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            use_cache=False,
        )
    )


def train_language_model(
    config: LanguageConfig,
    seed: int,
    text: Tokens,
    folder: Path,
    *,
    device: str = "cpu",
    progress: Progress = silent,
) -> "tuple[PreTrainedModel, PreTrainedModel]":
    """Train a seed; return the model half way and the model at the end.

    Args:
        config: architecture and recipe.
        seed: seed of the initial weights and of the batches.
        text: the training tokens in one stream; with `config.rows`, whole rows in succession.
        folder: where a checkpoint is kept; a second call continues there.
        device: where to train.
        progress: called after every step.
    """
    key = content_key({"config": asdict(config), "seed": seed, "text": _digest(text)})
    checkpoint = folder / f"language-{key}.pt"
    model, half_way = new_model(config, seed), new_model(config, seed)
    nn.Module.to(model, device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True,
    )
    step = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        half_way.load_state_dict(saved["half_way"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]

    def save() -> None:
        payload = {
            "model": model.state_dict(),
            "half_way": half_way.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
        }
        write_atomically(checkpoint, partial(torch.save, payload))

    with saving(save) as saves:
        while step < config.steps:
            loss = _gradients(model, config, _batch(config, seed, step, text))
            with saves.step():
                _update(model, optimizer, config, step)
                step += 1
                if step == config.steps // 2:
                    half_way.load_state_dict(model.state_dict())
            progress(step / config.steps, f"step {step} of {config.steps}  loss {loss:.3f}")
            saves.now_and_then()
    model.cpu()
    return half_way, model


def next_token_loss(model: nn.Module, tokens: Int[Tensor, "sequence position"]) -> float:
    """Mean loss of the next token, in nats."""
    with torch.inference_mode():
        return float(_loss(model, tokens[:, :-1], tokens[:, 1:]))


def _gradients(model: nn.Module, config: LanguageConfig, batch: tuple[Tensor, Tensor]) -> float:
    tokens, labels = batch
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
        loss = _loss(model, tokens.to(device), labels.to(device))
    model.zero_grad(set_to_none=True)
    loss.backward()
    return float(loss.detach())


def _update(
    model: nn.Module, optimizer: torch.optim.Optimizer, config: LanguageConfig, step: int
) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    for settings in optimizer.param_groups:
        settings["lr"] = config.rate(step)
    optimizer.step()


def _loss(model: nn.Module, tokens: Tensor, labels: Tensor) -> Tensor:
    logits = model(input_ids=tokens).logits
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE)


def _batch(config: LanguageConfig, seed: int, step: int, text: Tokens) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng([seed, step])
    shape = (config.batch, config.context)
    if config.two_back:
        tokens = rng.integers(config.vocabulary, size=shape)
        labels = np.full(shape, IGNORE)
        labels[:, 2:] = tokens[:, :-2]
    else:
        windows = text[_starts(config, rng, len(text))[:, None] + np.arange(config.context + 1)]
        tokens, labels = windows[:, :-1].astype(np.int64), windows[:, 1:].astype(np.int64)
    return torch.from_numpy(tokens), torch.from_numpy(labels)


def _starts(config: LanguageConfig, rng: np.random.Generator, length: int) -> np.ndarray:
    """Draw where the windows of a batch begin in a text of `length` tokens."""
    if config.rows:
        row = config.context + 1
        return rng.integers(length // row, size=config.batch) * row
    return rng.integers(length - config.context, size=config.batch)


def _digest(text: Tokens) -> str:
    return hashlib.sha256(np.ascontiguousarray(text).tobytes()).hexdigest()
