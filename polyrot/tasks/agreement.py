"""Subject-verb agreement: templated prompts that end where the verb begins.

The prompts are those of arXiv 2602.22600: a head noun of one number, an attractor of the other,
and the question whether `is` or `are` comes next.  The draw follows the released code call by
call (`default_rng(0)`), so the prompts and their split are the same, oddities included: "There
key near the boxes", "The keys that hides the box", "The men that the box".
"""

from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool

PLURALS = {
    "key": "keys",
    "label": "labels",
    "author": "authors",
    "pilot": "pilots",
    "teacher": "teachers",
    "child": "children",
    "man": "men",
    "woman": "women",
    "mouse": "mice",
    "cabinet": "cabinets",
    "drawer": "drawers",
    "door": "doors",
    "folder": "folders",
    "box": "boxes",
    "room": "rooms",
    "student": "students",
    "guard": "guards",
    "desk": "desks",
}
NOUNS = tuple(PLURALS)
HEADS, ATTRACTORS = NOUNS[:9], NOUNS[9:]
CONNECTORS = ("to the", "of the", "near the", "behind the", "next to the", "alongside the")
FRONTS = (
    "In this ancient kingdom,",
    "Long ago in a distant land,",
    "In a busy laboratory,",
    "Deep under the old castle,",
)
BACKS = ("in the old kingdom", "in this strange world", "in the present tense", "on most days")
RELATIVES = ("that the", "that guards the", "that surrounds the", "that hides the")
PAST = "In the past,"
SHAPES = ("base", "front", "back", "there", "rel")
COUNT, SEED = 1_200, 0


@dataclass(frozen=True)
class Prompt:
    """A text that ends where the verb begins, and its parts."""

    head: str
    """The noun that the verb agrees with, in the singular."""
    attractor: str
    """The noun between head and verb, in the singular."""
    plural: bool
    """Is the head plural?  This is the label."""
    attractor_plural: bool
    past: bool
    """Does it begin with "In the past,"?  An unrelated label."""
    shape: str
    connector: str
    front: str
    back: str
    relative: str

    @property
    def text(self) -> str:
        head, attractor = self.head, self.attractor
        head = PLURALS[head] if self.plural else head
        attractor = PLURALS[attractor] if self.attractor_plural else attractor
        subject = f"{head} {self.connector} {attractor}"
        text = {
            "base": f"The {subject}",
            "front": f"{self.front} the {subject}",
            "back": f"The {subject} {self.back}",
            "there": f"There {subject}",
            "rel": f"The {head} {self.relative} {attractor}",
        }[self.shape]
        return f"{PAST} {text}" if self.past else text

    @property
    def verb(self) -> str:
        """The verb that agrees with the head."""
        return ("was", "were")[self.plural] if self.past else ("is", "are")[self.plural]

    @property
    def held_out(self) -> bool:
        """Was no small model trained on its pair of nouns?"""
        return is_held_out(self.head, self.attractor)


@dataclass(frozen=True)
class Prompts:
    """Prompts and their split."""

    prompts: tuple[Prompt, ...]
    training: Bool[np.ndarray, " prompt"]
    """Which are in the training half."""

    @property
    def texts(self) -> list[str]:
        return [prompt.text for prompt in self.prompts]

    @property
    def plural(self) -> Bool[np.ndarray, " prompt"]:
        """Which have a plural head: the label."""
        return np.array([prompt.plural for prompt in self.prompts])

    @property
    def past(self) -> Bool[np.ndarray, " prompt"]:
        """Which are in the past: an unrelated label."""
        return np.array([prompt.past for prompt in self.prompts])

    @property
    def held_out(self) -> Bool[np.ndarray, " prompt"]:
        """Which have a pair of nouns on which no small model was trained."""
        return np.array([prompt.held_out for prompt in self.prompts])


def is_held_out(head: str, attractor: str) -> bool:
    """Is a pair of nouns held out from training?  A fifth are; every noun is also in others."""
    return (HEADS.index(head) + 2 * ATTRACTORS.index(attractor)) % 5 == 0


def draw_prompts(count: int = COUNT, seed: int = SEED) -> Prompts:
    """Draw the published prompts: half with a singular head and a plural attractor, half reversed.

    Args:
        count: even; a half of them, at random, is the training half.
        seed: seed of the draw, 0 as published.

    Raises:
        ValueError: where the count is odd.

    >>> prompts = draw_prompts()
    >>> prompts.texts[0], int(prompts.plural.sum()), int(prompts.training.sum())
    ('The men that the box', 600, 600)
    """
    if count % 2:
        raise ValueError(f"Expected count to be even but got {count=}")
    rng = np.random.default_rng(seed)
    drawn = [
        draw_prompt(rng, choice(rng, HEADS), choice(rng, ATTRACTORS), plural, not plural)
        for plural in (False, True)
        for _ in range(count // 2)
    ]
    order = np.arange(count)
    rng.shuffle(order)
    training = np.zeros(count, dtype=bool)
    training[rng.permutation(count)[: count // 2]] = True
    return Prompts(tuple(drawn[index] for index in order), training)


def draw_distinct_prompts(count: int, seed: int = SEED) -> Prompts:
    """Draw as `draw_prompts` does, but no prompt twice.

    Args:
        count: even; if there are fewer different prompts, all of them are returned.
        seed: seed of the draw.

    Raises:
        ValueError: where the count is odd.

    >>> len(set(draw_distinct_prompts(2_000).texts))
    2000
    """
    if count % 2:
        raise ValueError(f"Expected count to be even but got {count=}")
    rng = np.random.default_rng(seed)
    drawn: list[Prompt] = []
    for plural in (False, True):
        every = different_prompts(plural)
        shapes = Counter(prompt.shape for prompt in every)
        # Every shape is equally likely, however many prompts have it.
        likely = np.array([1 / (len(shapes) * shapes[prompt.shape]) for prompt in every])
        chosen = rng.choice(len(every), min(count // 2, len(every)), replace=False, p=likely)
        drawn += [every[index] for index in chosen]
    training = np.zeros(len(drawn), dtype=bool)
    training[rng.permutation(len(drawn))[: len(drawn) // 2]] = True
    return Prompts(tuple(drawn[index] for index in rng.permutation(len(drawn))), training)


def different_prompts(plural: bool) -> list[Prompt]:
    """List every prompt whose head has one number and whose attractor has the other."""
    unused = {"connector": "", "front": "", "back": "", "relative": ""}
    connected = [{"connector": connector} for connector in CONNECTORS]
    parts: dict[str, list[dict[str, str]]] = {
        "base": connected,
        "front": [{**one, "front": front} for one in connected for front in FRONTS],
        "back": [{**one, "back": back} for one in connected for back in BACKS],
        "there": connected,
        "rel": [{"relative": relative} for relative in RELATIVES],
    }
    return [
        Prompt(
            head=head,
            attractor=attractor,
            plural=plural,
            attractor_plural=not plural,
            past=past,
            shape=shape,
            **(unused | used),
        )
        for head, attractor in product(HEADS, ATTRACTORS)
        for past in (False, True)
        for shape in SHAPES
        for used in parts[shape]
    ]


def choice(rng: np.random.Generator, among: tuple[str, ...]) -> str:
    """Draw one of several, with equal probability."""
    return among[int(rng.integers(0, len(among)))]


def draw_prompt(
    rng: np.random.Generator, head: str, attractor: str, plural: bool, attractor_plural: bool
) -> Prompt:
    """Draw the rest of a prompt; every part is drawn, even if the shape does not use it."""
    connector, front, back, relative = (
        choice(rng, among) for among in (CONNECTORS, FRONTS, BACKS, RELATIVES)
    )
    past = bool(rng.integers(0, 2))
    return Prompt(
        head=head,
        attractor=attractor,
        plural=plural,
        attractor_plural=attractor_plural,
        past=past,
        shape=choice(rng, SHAPES),
        connector=connector,
        front=front,
        back=back,
        relative=relative,
    )
