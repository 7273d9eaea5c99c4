"""Prompts of subject-verb agreement, the language that small models learn them from, the AUC."""

import hashlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyrot.models import hub
from polyrot.models.hub import Checkpoint
from polyrot.stats.ranking import area_under_curve
from polyrot.tasks import agreement
from polyrot.tasks.agreement import (
    ATTRACTORS,
    HEADS,
    PLURALS,
    Prompt,
    draw_distinct_prompts,
    draw_prompts,
    is_held_out,
)
from polyrot.tasks.agreement_language import (
    SEPARATOR,
    UNKNOWN,
    draw_rows,
    draw_sentence,
    new_tokenizer,
)

PUBLISHED = "84a4510f089a00fa"
"""How the SHA-256 of the prompts begins that the released code of arXiv 2602.22600 draws."""


def test_prompts_are_those_that_the_paper_draws() -> None:
    prompts = draw_prompts()
    assert len(prompts.prompts) == 1_200
    assert int(prompts.plural.sum()) == 600
    assert int(prompts.training.sum()) == 600
    for prompt in prompts.prompts:
        assert prompt.attractor_plural is not prompt.plural
        assert prompt.head in HEADS
        assert prompt.attractor in ATTRACTORS
    # Shapes and tenses are as likely as another.
    assert set(Counter(p.shape for p in prompts.prompts)) == set(agreement.SHAPES)
    assert min(Counter(p.shape for p in prompts.prompts).values()) > 200
    assert 550 < prompts.past.sum() < 650
    text = "\n".join(prompts.texts) + "".join(str(int(own)) for own in prompts.training)
    assert hashlib.sha256(text.encode()).hexdigest().startswith(PUBLISHED)


def test_nouns_connectors_and_shapes_are_counted_as_published() -> None:
    assert (len(HEADS), len(ATTRACTORS), len(agreement.CONNECTORS)) == (9, 9, 6)
    assert len(agreement.SHAPES) == 5
    assert (PLURALS["mouse"], PLURALS["child"], PLURALS["box"]) == ("mice", "children", "boxes")


@pytest.mark.parametrize(
    ("shape", "past", "text"),
    [
        ("base", False, "The keys near the box"),
        ("front", False, "In a busy laboratory, the keys near the box"),
        ("back", False, "The keys near the box on most days"),
        ("there", False, "There keys near the box"),
        ("rel", False, "The keys that hides the box"),
        ("base", True, "In the past, The keys near the box"),
    ],
)
def test_a_prompt_says_what_it_is_made_of(shape: str, past: bool, text: str) -> None:
    prompt = Prompt(
        head="key",
        attractor="box",
        plural=True,
        attractor_plural=False,
        past=past,
        shape=shape,
        connector="near the",
        front="In a busy laboratory,",
        back="on most days",
        relative="that hides the",
    )
    assert prompt.text == text
    assert prompt.verb == ("were" if past else "are")
    assert replace(prompt, plural=False).verb == ("was" if past else "is")


@given(st.integers(1, 30), st.integers(0, 2**32))
def test_every_drawing_is_balanced_and_repeats(half: int, seed: int) -> None:
    prompts = draw_prompts(2 * half, seed)
    assert prompts.plural.sum() == prompts.training.sum() == half
    assert prompts.texts == draw_prompts(2 * half, seed).texts
    for prompt in prompts.prompts:
        assert not re.search(r"\b(is|are|was|were)\b", prompt.text)
        assert prompt.text.startswith("In the past, ") is prompt.past


def test_no_prompt_is_drawn_twice() -> None:
    prompts = draw_distinct_prompts(4_000)
    assert len(set(prompts.texts)) == 4_000
    assert prompts.plural.sum() == prompts.training.sum() == 2_000
    assert 900 < (prompts.plural & prompts.training).sum() < 1_100
    shapes = Counter(prompt.shape for prompt in prompts.prompts)
    assert min(shapes.values()) > 550  # of 800; of the fewest, some are already drawn
    assert len(shapes) == 5
    assert draw_distinct_prompts(4_000).texts == prompts.texts
    assert draw_distinct_prompts(4_000, seed=1).texts != prompts.texts


def test_there_are_no_more_prompts_than_there_are() -> None:
    prompts = draw_distinct_prompts(10**6)
    assert len(set(prompts.texts)) == len(prompts.texts) == 20_736
    with pytest.raises(ValueError, match="Expected count to be even but got count=3"):
        draw_distinct_prompts(3)


def test_an_odd_count_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected count to be even but got count=3"):
        draw_prompts(3)


def test_every_noun_is_in_pairs_of_both_kinds() -> None:
    kept = [(h, a) for h in HEADS for a in ATTRACTORS if is_held_out(h, a)]
    assert 12 <= len(kept) <= 20
    assert {h for h, _ in kept} == set(HEADS)
    assert {a for _, a in kept} == set(ATTRACTORS)


@given(st.integers(0, 2**32), st.booleans())
def test_in_a_sentence_the_verb_agrees_with_the_head(seed: int, held_out: bool) -> None:
    sentence = draw_sentence(np.random.default_rng(seed), held_out=held_out)
    words = re.findall(r"\w+", sentence.replace("that guards", ""))  # here no noun
    number = {**dict.fromkeys(PLURALS, False), **dict.fromkeys(PLURALS.values(), True)}
    singular = {plural: noun for noun, plural in PLURALS.items()}
    head, attractor = (word for word in words if word in number)
    verb = {"is": False, "was": False, "are": True, "were": True}
    (said,) = (word for word in words if word in verb)
    assert verb[said] is number[head]
    assert (said in ("was", "were")) is sentence.startswith("In the past,")
    assert is_held_out(singular.get(head, head), singular.get(attractor, attractor)) is held_out
    assert sentence.endswith(".")


def test_sentences_combine_all_numbers() -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(100):
        sentence = draw_sentence(rng, held_out=False).replace("that guards", "")
        words = re.findall(r"\w+", sentence)
        nouns = [word for word in words if word in PLURALS or word in PLURALS.values()]
        seen.add(tuple(word in PLURALS for word in nouns))
    assert len(seen) == 4


def test_the_tokenizer_knows_every_word_and_survives_saving(tmp_path: Path) -> None:
    tokenizer = new_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    again = hub.load_tokenizer(Checkpoint(str(tmp_path)))
    texts = draw_prompts().texts
    ids = tokenizer(texts)["input_ids"]
    assert again(texts)["input_ids"] == ids
    assert tokenizer.convert_tokens_to_ids(UNKNOWN) not in {own for row in ids for own in row}
    assert tokenizer("elephants")["input_ids"] == [tokenizer.convert_tokens_to_ids(UNKNOWN)]
    assert tokenizer("The keys.")["input_ids"] == tokenizer("the keys .")["input_ids"]
    assert len(tokenizer) < 256


def test_rows_begin_with_a_sentence_and_hold_whole_ones() -> None:
    tokenizer = new_tokenizer()
    rows = draw_rows(tokenizer, 30, 33, held_out=True, rng=np.random.default_rng(5))
    assert rows.shape == (30, 33)
    separator = tokenizer.convert_tokens_to_ids(SEPARATOR)
    rng = np.random.default_rng(5)
    first = tokenizer(draw_sentence(rng, held_out=True))["input_ids"]
    assert rows[0, : len(first) + 1].tolist() == [*first, separator]
    for row in rows:
        assert (row == separator).sum() >= 1
        assert tokenizer.decode(row[:1]) in ("the", "there", "in", "long", "deep")
    assert (rows == draw_rows(tokenizer, 30, 33, held_out=True, rng=np.random.default_rng(5))).all()


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30).filter(
        lambda items: 0 < sum(positive for _, positive in items) < len(items)
    )
)
def test_the_area_counts_pairs_and_half_of_ties(items: list[tuple[int, bool]]) -> None:
    scores = np.array([float(score) for score, _ in items])
    positive = np.array([own for _, own in items])
    won = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert area_under_curve(scores, positive) == pytest.approx(np.mean(won))
    assert area_under_curve(-scores, positive) == pytest.approx(1 - np.mean(won))


def test_an_area_wants_numbers_of_both_classes() -> None:
    with pytest.raises(ValueError, match="both classes but got 0 positive and 2 negative"):
        area_under_curve(np.array([1.0, 2.0]), np.array([False, False]))
    with pytest.raises(ValueError, match="Expected scores to be numbers but some are not"):
        area_under_curve(np.array([1.0, np.nan]), np.array([True, False]))
