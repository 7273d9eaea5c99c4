"""Tiny language models, tokenizers and texts whose truth is known, saved as a user saves them."""

import copy
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from torch import Tensor, nn

from polyrot.linalg import haar
from polyrot.models.hub import quiet

D, LAYERS, HEADS, CONTEXT, VOCABULARY = 32, 3, 2, 64, 512

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


def _words(*starts: str) -> list[str]:
    ends = ("la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "zu")
    return [start + end for start in starts for end in ends]


TOWARD = _words("ba", "de", "fi", "go")
AWAY = _words("ka", "le", "mi", "no")
NEITHER = _words("pa", "re", "si", "to")
"""Words of two classes and of none: a token each, and more of them than dimensions."""


def lines(words: list[str], count: int, seed: int, length: int = 12) -> list[str]:
    """Distinct texts of some words and of words of no class."""
    draw = np.random.default_rng(seed)
    pool = [*words, *words, *NEITHER]
    return list(dict.fromkeys(" ".join(draw.choice(pool, length)) for _ in range(count)))


@lru_cache
def tokenizer() -> tokenizers.Tokenizer:
    """A tokenizer of these words, as large as the models' vocabulary."""
    return tokenizer_of(lines(TOWARD, 200, 0) + lines(AWAY, 200, 1))


def rotated(model: Model, rotation: Tensor) -> Model:
    """The image of a Llama model whose residual stream is turned: exact but for rounding.

    Root-mean-square norms commute with a rotation where their gains are one.
    """
    image = copy.deepcopy(model)
    turn = rotation.double()

    def put(weight: Tensor, value: Tensor) -> None:
        weight.copy_(value.to(weight.dtype))

    put(image.model.embed_tokens.weight, model.model.embed_tokens.weight.double() @ turn)
    if not model.config.tie_word_embeddings:
        put(image.lm_head.weight, model.lm_head.weight.double() @ turn)
    for old, new in zip(model.model.layers, image.model.layers, strict=True):
        for name in ("q_proj", "k_proj", "v_proj"):
            reads, turned = (getattr(block.self_attn, name).weight for block in (old, new))
            put(turned, reads.double() @ turn)
        for name in ("gate_proj", "up_proj"):
            reads, turned = (getattr(block.mlp, name).weight for block in (old, new))
            put(turned, reads.double() @ turn)
        put(new.self_attn.o_proj.weight, turn.mT @ old.self_attn.o_proj.weight.double())
        put(new.mlp.down_proj.weight, turn.mT @ old.mlp.down_proj.weight.double())
    return image


def planted(seed: int = 0, **changes: Any) -> Model:
    """A Llama model that says what stands in its stream, where the classes of words differ.

    Its unembedding is tied, its blocks are weak, and its embeddings of the one class are moved
    one way, of the other class the other way.
    """
    model = llama(seed, tie_word_embeddings=True, **changes)
    embedding, known = model.model.embed_tokens.weight, tokenizer()
    apart = torch.randn(D, generator=torch.Generator().manual_seed(seed)) / D**0.5
    for words, sign in ((TOWARD, 1), (AWAY, -1)):
        for word in words:
            embedding[known.token_to_id(f"\u0120{word}")] += sign * apart
    for block in model.model.layers:
        block.self_attn.o_proj.weight *= 0.3
        block.mlp.down_proj.weight *= 0.3
    return model


def images(count: int) -> list[Model]:
    """A model and its images under rotations."""
    model = planted()
    turns = haar.sample(D, size=count - 1, group="SO", seed=7)
    return [model, *(rotated(model, turn) for turn in turns)]


def write_suite(folder: Path, models: Sequence[Model], *more: str, name: str = "planted") -> Path:
    """Write models, a tokenizer, text, contrasts and a suite file that names them."""
    for index, model in enumerate(models, start=1):
        saved(model, folder / f"seed{index}")
        tokenizer().save(str(folder / f"seed{index}" / "tokenizer.json"))
    (folder / "text.txt").write_text("\n".join(lines([*TOWARD, *AWAY], 400, 2)))
    (folder / "toward.txt").write_text("\n".join(lines(TOWARD, 120, 3)))
    (folder / "away.txt").write_text("\n".join(lines(AWAY, 120, 4)))
    file = folder / f"{name}.toml"
    file.write_text(SUITE.format(name=name, seeds=list(range(1, len(models) + 1))) + "".join(more))
    return file


def write_images(folder: Path) -> Path:
    """Three images of one model under rotations, with earlier checkpoints and controls."""
    turns = haar.sample(D, size=2, group="SO", seed=7)
    last, half, start = (
        [model, *(rotated(model, turn) for turn in turns)]
        for model in (planted(0), planted(0, initializer_range=0.15), planted(9))
    )
    for index in range(3):
        saved(half[index], folder / f"seed{index + 1}-half")
        saved(start[index], folder / f"seed{index + 1}-start")
        saved(planted(20 + index), folder / f"other{index + 1}")
    return write_suite(folder, last, MORE)


def write_independent(folder: Path, models: int = 3) -> Path:
    """Models that were drawn apart."""
    return write_suite(folder, [planted(seed) for seed in range(models)], name="independent")


def change(file: Path, *changes: tuple[str, str], more: str = "") -> Path:
    """Replace what must be in a file, and add to its end."""
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text + more)
    return file


MORE = """
earlier = ["seed{{seed}}-half"]
untrained = "seed{{seed}}-start"
[[controls]]
seeds = [1, 2, 3]
folder = "other{{seed}}"
[published]
PIR-05 = "the bulk"
""".replace("{{", "{").replace("}}", "}")

SUITE = """\
name = "{name}"
[tokens]
files = ["text.txt"]
sequences = 48
length = 16
[sae]
expansion = 2
steps = 5
batch = 64
[steering]
contrasts = []
[[steering.own]]
name = "class"
toward = "toward.txt"
away = "away.txt"
[[models]]
seeds = {seeds}
folder = "seed{{seed}}"
"""
