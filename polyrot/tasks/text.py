"""Text available on every machine: sources and documentation of Python's standard library.

Modules are held out whole, with the tests named after them: no model saw any file of held-out
text.  A module's prose is that of its docstrings; the language reference that `help()` shows
comes with the library too.
"""

import ast
import sysconfig
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

VOCABULARY = 1_024
TOKENIZER_CHARACTERS = 4_000_000
"""Number of characters of training text that the tokenizer is fitted on."""
SEPARATOR = "<|endoftext|>"
HELD_OUT_EVERY = 8
"""One module in this many is held out."""
LARGEST_FILE = 400_000
"""Bytes; larger ones are tables."""

Tokens = Int[np.ndarray, " token"]


@dataclass(frozen=True)
class Document:
    """One text and the module that it belongs to."""

    module: str
    text: str

    @property
    def held_out(self) -> bool:
        return zlib.crc32(self.module.encode()) % HELD_OUT_EVERY == 0


@lru_cache(maxsize=1)
def standard_library() -> tuple[Document, ...]:
    """Read the standard library's sources, and the language reference, in a fixed order.

    Codecs, which are tables, and files that are not UTF-8 are left out.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    documents = []
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).parts
        if parts[0] in ("site-packages", "dist-packages", "encodings", "pydoc_data"):
            continue
        if file.stat().st_size > LARGEST_FILE:
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        documents.append(Document(_module(parts), text))
    return (*documents, *_reference())


def prose(document: Document) -> Iterator[str]:
    """Yield the docstrings of a source file, or a document that is not source as it is."""
    if document.module.startswith("reference/"):
        yield document.text
        return
    try:
        with warnings.catch_warnings(action="ignore"):  # provoked by the library's tests
            tree = ast.parse(document.text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


def train_tokenizer(documents: Sequence[Document], vocabulary: int = VOCABULARY) -> Any:
    """Fit a byte-level BPE to an even sample of the training documents' text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    texts = [d.text for d in documents if not d.held_out]
    every = max(1, sum(map(len, texts)) // TOKENIZER_CHARACTERS)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[SEPARATOR],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts[::every], trainer)
    return tokenizer


def encode(tokenizer: Any, documents: Sequence[Document], *, held_out: bool) -> Tokens:
    """Join the held-out documents, or the others, each after a separator."""
    chosen = [d.text for d in documents if d.held_out is held_out]
    separator = tokenizer.token_to_id(SEPARATOR)
    ids = []
    for encoding in tokenizer.encode_batch_fast(chosen):
        ids += [separator, *encoding.ids]
    return np.array(ids, dtype=np.int32)


def _module(parts: tuple[str, ...]) -> str:
    """Name the module of a file; a test belongs to the module that it tests."""
    names = [part.removesuffix(".py") for part in parts]
    if names[0] == "test" and len(names) > 1:
        names = names[1:]
    return names[0].removeprefix("test_").removeprefix("_")


def _reference() -> list[Document]:
    from pydoc_data.topics import topics

    return [Document(f"reference/{name}", text) for name, text in sorted(topics.items())]
