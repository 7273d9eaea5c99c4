"""The first letters of words, at the tokens that begin one: labels available in any text."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

LETTERS = "abcdefghijklmnopqrstuvwxyz"
NO_WORD = -1
SPACES = ("\u0120", "\u2581", " ")
"""How tokenizers write the space before a word."""


def first_letters(
    tokenizer: Any, tokens: Int[Tensor, "sequence position"]
) -> Int[Tensor, " token"]:
    """Return the letter with which a token begins a word, or that it begins none.

    A word begins with a letter after a space, or after a token that does not end with a letter.
    What precedes a sequence is unknown, so its first token begins a word only after a space.
    Case is ignored.

    Args:
        tokenizer: with `convert_ids_to_tokens` and a length.
        tokens: ids, `[sequence, position]`.

    Returns:
        `[token]`, sequence by sequence: 0 for a to 25 for z, or `NO_WORD`.
    """
    texts = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    spaced = torch.tensor([text.startswith(SPACES) for text in texts])
    letter = torch.tensor([_letter(text.lstrip("".join(SPACES))[:1]) for text in texts])
    ends = torch.tensor([_letter(text[-1:]) != NO_WORD for text in texts])
    begins = spaced[tokens]
    begins[:, 1:] |= ~ends[tokens[:, :-1]]
    return torch.where(begins, letter[tokens], NO_WORD).flatten()


def _letter(character: str) -> int:
    return LETTERS.find(character.lower()) if character else NO_WORD
