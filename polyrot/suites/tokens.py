"""The tokens that a suite of language models runs on: from text, a data set or a file."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from polyrot.missing import NotRun
from polyrot.suites.schema import Tokens
from polyrot.tasks.text import standard_library

Sequences = Int[Tensor, "sequence position"]
SHUFFLE_SEED = 2_026
SPREAD = 8
"""Sequences are drawn from so many times the text that is needed, where there is as much."""


@dataclass(frozen=True)
class TokenData:
    """What the models are measured on, and other text to train autoencoders on."""

    analysis: Sequences
    sae: Sequences


def load_tokens(
    tokens: Tokens,
    base: Path,
    tokenizer: Callable[[], Any],
    progress: Callable[[str], None] = lambda what: None,
) -> TokenData:
    """Load the sequences that a suite file asks for.

    Args:
        tokens: the table of the suite file.
        base: the folder that its paths are relative to.
        tokenizer: loads the tokenizer; not called where the file holds token ids.
        progress: called with what is being done.

    Raises:
        NotRun: where a file, a package, the data set or enough text is missing.
    """
    if tokens.file:
        return _from_file(tokens, base / tokens.file)
    needed = 2 * tokens.sequences
    progress("tokenizing")
    rows = _cut(_texts(tokens, base), tokenizer(), tokens.length, needed)
    if len(rows) < needed:
        raise NotRun(
            f"the text of tokens gives {len(rows)} sequences of {tokens.length} tokens and "
            f"{needed} are needed, half of them for autoencoders; give more text, or lower "
            "tokens.sequences or tokens.length"
        )
    rows = np.random.default_rng(SHUFFLE_SEED).permutation(rows)
    return _halves(rows, tokens.sequences)


def _texts(tokens: Tokens, base: Path) -> Iterator[str]:
    if tokens.dataset:
        yield from _dataset(tokens)
    elif tokens.files:
        for pattern in tokens.files:
            found = sorted(_matches(base, pattern))
            if not found:
                raise NotRun(f"tokens.files: no file matches {base / pattern}")
            for file in found:
                yield file.read_text(encoding="utf-8", errors="replace")
    else:
        for document in standard_library():
            if document.held_out:
                yield document.text


def _matches(base: Path, pattern: str) -> Iterable[Path]:
    path = Path(pattern)
    if not path.is_absolute():
        return base.glob(pattern)
    return Path(path.anchor).glob(str(path.relative_to(path.anchor)))


def _dataset(tokens: Tokens) -> Iterator[str]:
    if find_spec("datasets") is None:
        raise NotRun('tokens.dataset wants a package: pip install "polyrot[hub]"')
    from datasets import load_dataset

    try:
        for row in load_dataset(tokens.dataset, split=tokens.split, streaming=True):
            if tokens.field not in row:
                raise NotRun(
                    f"tokens.field: {tokens.dataset} has no field {tokens.field!r}; it has "
                    f"{', '.join(row)}"
                )
            yield row[tokens.field]
    except (OSError, ValueError, RuntimeError) as error:
        raise NotRun(
            f"tokens.dataset: {tokens.dataset} cannot be read from the hub "
            f"({type(error).__name__}); run once with a network, or give text as tokens.files"
        ) from None


def _cut(texts: Iterable[str], tokenizer: Any, length: int, needed: int) -> np.ndarray:
    """Join texts behind separators, and cut whole sequences until there are enough."""
    separator = next(
        (i for i in (tokenizer.eos_token_id, tokenizer.bos_token_id) if i is not None), None
    )
    ids: list[int] = []
    for text in texts:
        if separator is not None:
            ids.append(separator)
        ids += tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) >= SPREAD * needed * length:
            break
    rows = len(ids) // length
    return np.array(ids[: rows * length], dtype=np.int64).reshape(rows, length)


def _from_file(tokens: Tokens, path: Path) -> TokenData:
    if not path.is_file():
        raise NotRun(f"tokens.file: there is no file {path}")
    try:
        arrays = (
            load_file(path)
            if path.suffix == ".safetensors"
            else {"tokens": np.load(path, allow_pickle=False)}
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise NotRun(f"tokens.file: {path} cannot be read: {error}") from None
    for name, array in arrays.items():
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.integer):
            raise NotRun(
                f"tokens.file: expected integers [sequence, position] in {path} but {name} is "
                f"{array.dtype} {list(array.shape)}"
            )
    if {"analysis", "sae"} <= arrays.keys():
        return TokenData(*(torch.from_numpy(arrays[n]).long() for n in ("analysis", "sae")))
    rows = next(iter(arrays.values()))
    if len(arrays) != 1 or len(rows) < 2 * tokens.sequences:
        raise NotRun(
            f"tokens.file: expected one array of {2 * tokens.sequences} sequences in {path}, half "
            f"of them for autoencoders, but got {len(rows)}; lower tokens.sequences"
        )
    return _halves(rows[: 2 * tokens.sequences].astype(np.int64), tokens.sequences)


def _halves(rows: np.ndarray, count: int) -> TokenData:
    return TokenData(torch.from_numpy(rows[:count]), torch.from_numpy(rows[count : 2 * count]))
