"""Which tokens begin a word, and with which letter."""

import torch

from polyrot.tasks.letters import LETTERS, first_letters


class Known:
    """A tokenizer of a few texts."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [self.texts[i] for i in ids]


TEXTS = (
    "<|end|>",
    "\u0120the",
    "re",
    "\u2581Word",
    "(",
    "\u0120(",
    "\u010a\u0120\u0120",
    "Ab",
    "1",
)


def found(*names: str) -> list[str]:
    tokens = torch.tensor([[TEXTS.index(name) for name in names]])
    return [LETTERS[i] if i >= 0 else "" for i in first_letters(Known(*TEXTS), tokens).tolist()]


def test_a_space_or_what_is_no_letter_stands_before_a_word() -> None:
    assert found("\u0120the", "re", "\u2581Word") == ["t", "", "w"]
    assert found("(", "Ab", "re", "1", "re") == ["", "a", "", "", "r"]
    assert found("\u010a\u0120\u0120", "re", "\u0120(", "re") == ["", "r", "", "r"]


def test_of_the_first_token_a_space_alone_tells() -> None:
    assert found("re", "Ab") == ["", ""]
    assert found("\u0120the") == ["t"]


def test_sequences_are_apart() -> None:
    tokens = torch.tensor([[4, 2], [2, 4]])
    assert first_letters(Known(*TEXTS), tokens).tolist() == [-1, LETTERS.index("r"), -1, -1]
