"""The contrasts that define steering vectors of language models: two classes of texts each.

The built-in ones come from the standard library's held-out modules, which no model trained here has
seen; every text is distinct.
"""

import io
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from polyrot.errors import NotRun
from polyrot.experiments.language.suite_file import Contrast, Steering
from polyrot.experiments.language.tokens import Sequences
from polyrot.tasks.text import prose, standard_library

LEAST_TEXTS = 100
"""Distinct texts per class; the paper has three to five, repeated."""
TEXTS = 200
TEXT_TOKENS = 24
"""Largest number of tokens of a text; texts below `SHORTEST` tokens are left out."""
SHORTEST = 8
TYPICAL = 20
"""Tokens per class whose logits distinguish the classes."""


@dataclass(frozen=True)
class Texts:
    """Token ids of the texts of one class; some are for the fit, others for scoring."""

    tokens: Int[Tensor, "text position"]
    """Padded on the right with 0."""
    real: Bool[Tensor, "text position"]
    scored: Bool[Tensor, " text"]

    def unseen(self, seen: str) -> "Texts":
        """Leave out scored texts that occur in `seen`; both are written by `as_text`."""
        occurs = [
            as_text(row[real]) in seen for row, real in zip(self.tokens, self.real, strict=True)
        ]
        keep = ~(torch.tensor(occurs) & self.scored)
        return Texts(self.tokens[keep], self.real[keep], self.scored[keep])


@dataclass(frozen=True, eq=False)
class TextContrast:
    """A vector points toward one class of texts and away from another."""

    name: str
    toward: Texts
    away: Texts
    typical: tuple[Int[Tensor, " token"], Int[Tensor, " token"]]
    """Tokens more frequent in the first class, and in the second, among the texts to fit."""


def load_contrasts(
    steering: Steering, base: Path, tokenizer: Any, *, seen: Sequences | None = None
) -> list[TextContrast]:
    """Tokenize the contrasts of a suite file.

    Args:
        steering: the table of the file.
        base: the folder that its paths are relative to.
        tokenizer: of the models.
        seen: sequences that rotations are fitted on; scored texts that occur in them are left out.

    Raises:
        NotRun: if a file is missing or a class has too few distinct texts.
    """
    made = [_contrast(name, *BUILTIN[name](), tokenizer) for name in steering.contrasts]
    made += [_contrast(c.name, *_from_files(c, base), tokenizer) for c in steering.own]
    if seen is None:
        return made
    text = as_text(seen.flatten())
    return [replace(c, toward=c.toward.unseen(text), away=c.away.unseen(text)) for c in made]


def as_text(ids: Int[Tensor, " token"]) -> str:
    """Write ids as text, so that a sequence of them can be found by a substring search."""
    return " " + " ".join(map(str, ids.tolist())) + " "


def _from_files(contrast: Contrast, base: Path) -> tuple[list[str], list[str]]:
    classes = []
    for which in (contrast.toward, contrast.away):
        file = base / which
        if not file.is_file():
            raise NotRun(f"steering.own: {contrast.name}: there is no file {file}")
        try:
            classes.append(file.read_text(encoding="utf-8", errors="replace").splitlines())
        except OSError as error:
            raise NotRun(f"steering.own: {contrast.name}: {error}") from None
    return classes[0], classes[1]


def _contrast(
    name: str, toward: Sequence[str], away: Sequence[str], tokenizer: Any
) -> TextContrast:
    classes = _texts(name, toward, tokenizer), _texts(name, away, tokenizer)
    counts = [
        np.bincount(c.tokens[~c.scored][c.real[~c.scored]], minlength=len(tokenizer)) + 0.5
        for c in classes
    ]
    # A token's surplus in one class, in standard deviations of a Poisson count.
    shares = [count / count.sum() for count in counts]
    surplus = (shares[0] - shares[1]) / np.sqrt(
        sum(share / count.sum() for share, count in zip(shares, counts, strict=True))
    )
    order = torch.from_numpy(np.argsort(surplus, kind="stable"))
    return TextContrast(name, classes[0], classes[1], (order[-TYPICAL:], order[:TYPICAL]))


def _texts(name: str, texts: Sequence[str], tokenizer: Any) -> Texts:
    distinct = list(dict.fromkeys(text.strip() for text in texts))
    rows: dict[tuple[int, ...], None] = {}
    for index in np.random.default_rng(0).permutation(len(distinct)):
        ids = tokenizer(distinct[index], add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) >= SHORTEST:
            rows[tuple(ids[:TEXT_TOKENS])] = None
        if len(rows) == TEXTS:
            break
    if len(rows) < LEAST_TEXTS:
        raise NotRun(
            f"steering: {name} has {len(rows)} distinct texts of {SHORTEST} or more tokens in a "
            f"class but {LEAST_TEXTS} are needed; give more lines, or leave it out of steering"
        )
    tokens = torch.zeros(len(rows), TEXT_TOKENS, dtype=torch.long)
    real = torch.zeros(tokens.shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[i, : len(row)], real[i, : len(row)] = torch.tensor(row), True
    return Texts(tokens, real, torch.arange(len(rows)) % 2 == 1)


Classes = tuple[list[str], list[str]]


@lru_cache(maxsize=1)
def _code() -> Classes:
    """Source lines against sentences of the documentation."""
    sentences = []
    for document in standard_library():
        if document.held_out:
            for text in prose(document):
                sentences += _sentences(text)
    return [line for line, kinds in _source_lines() if kinds <= {"name", "number"}], sentences


def _string() -> Classes:
    """Source lines with a string against source lines with a number."""
    wanted = [(line, kinds & {"string", "number"}) for line, kinds in _source_lines()]
    strings = [line for line, kinds in wanted if kinds == {"string"}]
    return strings, [line for line, kinds in wanted if kinds == {"number"}]


def _comment() -> Classes:
    """Comments against statements."""
    comments = [line for line, kinds in _source_lines() if kinds == {"comment"}]
    return comments, [line for line, kinds in _source_lines() if "comment" not in kinds]


@lru_cache(maxsize=1)
def _source_lines() -> list[tuple[str, set[str]]]:
    """The lines of held-out modules, and the kinds of their tokens."""
    return [
        found
        for document in standard_library()
        if document.held_out and not document.module.startswith("reference/")
        for found in _lines(document.text)
    ]


BUILTIN: dict[str, Callable[[], Classes]] = {
    "code": _code,
    "string": _string,
    "comment": _comment,
}


def _sentences(text: str) -> list[str]:
    flat = re.sub(r"\s+", " ", text)
    return re.findall(r"[A-Z][a-z][^.:*|<>=_(){}\[\]]{30,}\.", flat)


def _lines(source: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the lines without a multi-line token, and the kinds of their tokens."""
    kinds: dict[int, set[str]] = {}
    broken: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            (first, _), (last, _) = token.start, token.end
            kind = _KINDS.get(token.type)
            if kind:
                kinds.setdefault(first, set()).add(kind)
            if first != last:
                broken.update(range(first, last + 1))
    except (tokenize.TokenError, SyntaxError):
        return
    lines = source.split("\n")  # as Python's tokenizer counts: a form feed does not end a line
    for number, found in kinds.items():
        line = lines[number - 1].strip() if number <= len(lines) else ""
        if number not in broken and line:
            yield line, found


_KINDS = {
    tokenize.STRING: "string",
    getattr(tokenize, "FSTRING_START", tokenize.STRING): "string",  # from Python 3.12 on
    tokenize.NUMBER: "number",
    tokenize.COMMENT: "comment",
    tokenize.NAME: "name",
}
