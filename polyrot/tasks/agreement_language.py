"""The language of agreement: sentences that small models learn to complete.

The shapes are those of `polyrot.tasks.agreement`, with every combination of numbers, so the
attractor says nothing about the verb; the verb agrees with the head, and is in the past tense
after "In the past,".  A fifth of the pairs of nouns are held out: a model sees both nouns, but
never together.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from polyrot.tasks.agreement import (
    ATTRACTORS,
    BACKS,
    CONNECTORS,
    FRONTS,
    HEADS,
    PAST,
    PLURALS,
    RELATIVES,
    choice,
    draw_prompt,
    is_held_out,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ADJECTIVES = ("new", "small", "large", "red", "quiet", "here", "gone", "ready")
"""Words that follow the verb."""
SEPARATOR, UNKNOWN = "<|endoftext|>", "<|unknown|>"
SPECIAL = (SEPARATOR, UNKNOWN)

Rows = UInt8[np.ndarray, "row position"]
"""Token ids: there are fewer than 256."""


def draw_sentence(rng: np.random.Generator, *, held_out: bool) -> str:
    """Draw a sentence with a held-out pair of nouns, or with one of the others.

    >>> draw_sentence(np.random.default_rng(0), held_out=False)
    'The women of the students are gone.'
    """
    pairs = [(h, a) for h in HEADS for a in ATTRACTORS if is_held_out(h, a) is held_out]
    head, attractor = pairs[int(rng.integers(len(pairs)))]
    plural, attractor_plural = (bool(rng.integers(2)) for _ in range(2))
    prompt = draw_prompt(rng, head, attractor, plural, attractor_plural)
    return f"{prompt.text} {prompt.verb} {choice(rng, ADJECTIVES)}."


def new_tokenizer() -> "PreTrainedTokenizerFast":
    """Make the tokenizer: a token per lower-case word or punctuation mark; nothing is learned.

    >>> new_tokenizer().tokenize("In the past, The keys are")
    ['in', 'the', 'past', ',', 'the', 'keys', 'are']
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    splitter = pre_tokenizers.Whitespace()
    nouns = (*PLURALS, *PLURALS.values())
    others = (*CONNECTORS, *FRONTS, *BACKS, *RELATIVES, *ADJECTIVES, PAST)
    text = " ".join((*nouns, *others, "there is are was were."))
    words = sorted({word for word, _ in splitter.pre_tokenize_str(text.lower())})
    ids = {word: index for index, word in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = splitter
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=UNKNOWN, eos_token=SEPARATOR
    )


def draw_rows(
    tokenizer: "PreTrainedTokenizerFast",
    count: int,
    length: int,
    *,
    held_out: bool,
    rng: np.random.Generator,
) -> Rows:
    """Draw rows of sentences in sequence with a separator between; the last one is cut.

    A row begins where a sentence does, as a prompt does.

    Args:
        tokenizer: made by `new_tokenizer`.
        count: number of rows.
        length: tokens per row.
        held_out: whether sentences have the held-out pairs of nouns, or the others.
        rng: the random generator.
    """
    # No sentence is shorter than eight tokens: "The key to the box is red."
    most = -(-length // 8)
    sentences = [draw_sentence(rng, held_out=held_out) for _ in range(count * most)]
    ids = tokenizer(sentences, add_special_tokens=False)["input_ids"]
    separator = tokenizer.convert_tokens_to_ids(SEPARATOR)
    rows = np.empty((count, length), dtype=np.uint8)
    for row in range(count):
        joined = [
            token
            for sentence in ids[row * most : (row + 1) * most]
            for token in (*sentence, separator)
        ]
        rows[row] = joined[:length]
    return rows
