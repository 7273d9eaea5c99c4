"""Tiny language models, tokenizers and texts whose truth is known, saved as a user saves them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from torch import Tensor, nn

from polyrot.models.hub import quiet

D, LAYERS, HEADS, CONTEXT, VOCABULARY = 32, 3, 2, 64, 320

Model = transformers.PreTrainedModel
Build = Callable[..., Model]


def _settings(**changes: Any) -> dict[str, Any]:
    settings = {
        "hidden_size": D,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * D,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.2,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": None,
    }
    return {**settings, **changes}


def _drawn(kind: type[Model], config: transformers.PreTrainedConfig, seed: int) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config).eval().requires_grad_(False)


def neox(seed: int = 0, **changes: Any) -> Model:
    config = transformers.GPTNeoXConfig(**_settings(**changes))
    return _drawn(transformers.GPTNeoXForCausalLM, config, seed)


def gpt2(seed: int = 0, **changes: Any) -> Model:
    """With the names that GPT-2 has for what others call otherwise."""
    settings = _settings(**changes)
    config = transformers.GPT2Config(
        n_embd=settings["hidden_size"],
        n_layer=settings["num_hidden_layers"],
        n_head=settings["num_attention_heads"],
        n_positions=settings["max_position_embeddings"],
        vocab_size=settings["vocab_size"],
        initializer_range=settings["initializer_range"],
        bos_token_id=0,
        eos_token_id=0,
    )
    return _drawn(transformers.GPT2LMHeadModel, config, seed)


def llama(seed: int = 0, **changes: Any) -> Model:
    config = transformers.LlamaConfig(**_settings(**changes))
    return _drawn(transformers.LlamaForCausalLM, config, seed)


def mistral(seed: int = 0, **changes: Any) -> Model:
    config = transformers.MistralConfig(**_settings(num_key_value_heads=1, **changes))
    return _drawn(transformers.MistralForCausalLM, config, seed)


def qwen2(seed: int = 0, **changes: Any) -> Model:
    config = transformers.Qwen2Config(**_settings(num_key_value_heads=1, **changes))
    return _drawn(transformers.Qwen2ForCausalLM, config, seed)


def gemma(seed: int = 0, **changes: Any) -> Model:
    """Ties its unembedding, scales its embedding, and adds one to the gains of its norms."""
    config = transformers.GemmaConfig(**_settings(num_key_value_heads=1, head_dim=8, **changes))
    return _drawn(transformers.GemmaForCausalLM, config, seed)


FAMILIES: tuple[Build, ...] = (neox, gpt2, llama, mistral, qwen2, gemma)


def saved(model: Model, folder: Path) -> Path:
    """Write a model as `save_pretrained` does, without its progress bar."""
    with quiet():
        model.save_pretrained(folder)
    return folder


def logits(model: nn.Module, tokens: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(input_ids=tokens).logits


def tokenizer_of(texts: list[str], vocabulary: int = VOCABULARY) -> tokenizers.Tokenizer:
    """A byte-level BPE of some texts, whose first token separates them."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
