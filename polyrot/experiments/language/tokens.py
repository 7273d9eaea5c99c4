"""The tokens of a suite of language models: from text, a data set or a file."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from safetensors.numpy import load_file
from torch import Tensor

from polyrot.cache import cache_directory, content_key
from polyrot.errors import NotRun
from polyrot.experiments.language.suite_file import Tokens
from polyrot.files import write_atomically
from polyrot.models.hub import quiet
from polyrot.progress import Progress, silent
from polyrot.tasks.text import standard_library

Sequences = Int[Tensor, "sequence position"]
SHUFFLE_SEED = 2_026
SPREAD = 8
"""Sequences are drawn from this multiple of the needed text, if there is enough."""
LEAST = 8
"""Least number of sequences, and of tokens per sequence, in a file of tokens."""


@dataclass(frozen=True)
class TokenData:
    """Sequences to measure the models on, and others to train autoencoders on."""

    analysis: Sequences
    sae: Int[Tensor, "sae_sequence sae_position"]


def load_tokens(
    tokens: Tokens,
    base: Path,
    tokenizer: Callable[[], Any],
    progress: Progress = silent,
) -> TokenData:
    """Load the sequences that a suite file specifies.

    Args:
        tokens: the table of the suite file.
        base: the folder that its paths are relative to.
        tokenizer: loads the tokenizer; not called for a file of token ids.
        progress: called with what is being done.

    Raises:
        NotRun: if a file, a package, the data set or enough text is missing.
    """
    if tokens.file:
        (file,) = token_files(tokens, base)
        return _from_file(tokens, file)
    needed = 2 * tokens.sequences
    progress(0, "tokenizing")
    rows = _rows(tokens, base, tokenizer(), needed)
    if len(rows) < needed:
        raise NotRun(
            f"the text of tokens gives {len(rows)} sequences of {tokens.length} tokens but "
            f"{needed} are needed, half of them for autoencoders; give more text, or lower "
            "tokens.sequences or tokens.length"
        )
    rows = np.random.default_rng(SHUFFLE_SEED).permutation(rows)
    return _halves(rows, tokens.sequences)


def token_files(tokens: Tokens, base: Path) -> list[Path]:
    """Find the files that tokens are made from.

    Raises:
        NotRun: if no file matches a name in the suite file.
    """
    if tokens.file:
        if not (base / tokens.file).is_file():
            raise NotRun(f"tokens.file: there is no file {base / tokens.file}")
        return [base / tokens.file]
    found: list[Path] = []
    for pattern in tokens.files:
        try:
            matching = [file for file in sorted(_matches(base, pattern)) if file.is_file()]
        except ValueError as error:
            raise NotRun(f"tokens.files: {pattern!r} is not a pattern: {error}") from None
        if not matching:
            raise NotRun(f"tokens.files: no file matches {base / pattern}")
        found += matching
    return found


def _rows(tokens: Tokens, base: Path, tokenizer: Any, needed: int) -> np.ndarray:
    """Cut text into sequences; those of a data set on the hub are cached, so it is read once."""
    cut = partial(_cut, _texts(tokens, base), tokenizer, tokens.length, needed)
    if not tokens.dataset or Path(tokens.dataset).exists():
        return cut()
    vocabulary = repr(sorted(tokenizer.get_vocab().items()))
    what = {
        **tokens.model_dump(include={"dataset", "split", "field", "length"}),
        "rows": SPREAD * needed,
        "vocabulary": hashlib.sha256(vocabulary.encode()).hexdigest(),
    }
    kept = cache_directory() / "tokens" / f"{content_key(what)}.npy"
    with suppress(OSError, ValueError, EOFError):  # missing or damaged
        rows: np.ndarray = np.load(kept, allow_pickle=False)
        return rows
    rows = cut()
    write_atomically(kept, lambda path: np.save(path, rows))
    return rows


def _texts(tokens: Tokens, base: Path) -> Iterator[str]:
    if tokens.dataset:
        yield from _dataset(tokens)
    elif tokens.files:
        for file in token_files(tokens, base):
            try:
                yield file.read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                raise NotRun(f"tokens.files: {error}") from None
    else:
        for document in standard_library():
            if document.held_out:
                yield document.text


def _matches(base: Path, pattern: str) -> Iterable[Path]:
    path = Path(pattern)
    if path.is_absolute():
        base, path = Path(path.anchor), path.relative_to(path.anchor)
    return base.glob(str(path))


def _dataset(tokens: Tokens) -> Iterator[str]:
    if find_spec("datasets") is None:
        raise NotRun('tokens.dataset needs a package: pip install "polyrot[hub]"')
    from datasets import load_dataset

    try:
        with quiet():
            rows = load_dataset(tokens.dataset, split=tokens.split, streaming=True)
        for row in rows:
            text = row.get(tokens.field)
            if not isinstance(text, str):
                raise NotRun(
                    f"tokens.field: {tokens.dataset} has no text as {tokens.field!r}; it has "
                    f"{', '.join(row)}"
                )
            yield text
    except NotRun:
        raise
    except Exception as error:  # from the network, the file system or the format
        raise NotRun(
            f"tokens.dataset: {tokens.dataset} cannot be read from the hub "
            f"({type(error).__name__}); run once with a network, or give text as tokens.files"
        ) from None


def _cut(texts: Iterable[str], tokenizer: Any, length: int, needed: int) -> np.ndarray:
    """Join texts with separators, and cut whole sequences until there are enough."""
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
    try:
        arrays = load_file(path) if path.suffix == ".safetensors" else {"tokens": _npy(path)}
    except Exception as error:  # a damaged file can raise anything
        raise NotRun(f"tokens.file: {path} cannot be read: {error}") from None
    for name, array in arrays.items():
        if not _is_ids(array):
            raise NotRun(
                f"tokens.file: expected token ids [sequence, position] in {path}, non-negative "
                f"integers of shape [{LEAST}, {LEAST}] or larger, but {name} is {array.dtype} "
                f"{list(array.shape)}"
            )
    arrays = {name: array.astype(np.int64) for name, array in arrays.items()}
    if {"analysis", "sae"} <= arrays.keys():
        return TokenData(*(torch.from_numpy(arrays[name]) for name in ("analysis", "sae")))
    needed = 2 * tokens.sequences
    counts = {name: len(array) for name, array in arrays.items()}
    if len(counts) != 1:
        raise NotRun(
            f"tokens.file: expected one array in {path}, or analysis and sae, but got "
            f"{', '.join(counts) or 'none'}"
        )
    ((name, count),) = counts.items()
    if count < needed:
        raise NotRun(
            f"tokens.file: expected {needed} sequences in {path}, half of them for autoencoders, "
            f"but got {count}; lower tokens.sequences"
        )
    return _halves(arrays[name][:needed], tokens.sequences)


def _npy(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _is_ids(array: np.ndarray) -> bool:
    return (
        array.ndim == 2
        and min(array.shape) >= LEAST
        and np.issubdtype(array.dtype, np.integer)
        and int(array.min()) >= 0
    )


def _halves(rows: np.ndarray, count: int) -> TokenData:
    return TokenData(torch.from_numpy(rows[:count]), torch.from_numpy(rows[count : 2 * count]))
