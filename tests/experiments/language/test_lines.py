"""In which line of a TOML document a value stands: by hand, and of documents of any shape."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyrot.experiments.language.toml_lines import Location, line_of

TRICKY = '''\
"name" = "a"            # name = "b"
description = """
sites = ["x"]  # [tokens]
length = 1\\"""
[[models]]"""
'claims' = [ "PIR-03", # PIR-04 ]
    "PIR-05", [
    ] ]
a.b . "c.d" = {x = 1, "y" = [
    1, {z = '[[models]]'}], w.v = 2}
t = 1979-05-27T07:32:00.5Z
literal = \'\'\'it's
[sae]\'\'\'\'
[[models]]
"s\\u0065ed" = 1
[models.inner]
x = """five: \\""""""
[[models]]
[[models.many]]
[[models.many]]
k = {}
[models.many.deep]
l = 1
separators = "\u2028\u0085"
last = +inf
'''


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("name",), 1),
        (("description",), 2),
        (("sites",), 1),
        (("tokens", "length"), 1),
        (("claims",), 6),
        (("claims", 0), 6),
        (("claims", 1), 7),
        (("claims", 2), 7),
        (("claims", 2, 0), 7),
        (("a", "b", "c.d"), 9),
        (("a", "b", "c.d", "x"), 9),
        (("a", "b", "c.d", "y", 1, "z"), 10),
        (("a", "b", "c.d", "w", "v"), 10),
        (("t",), 11),
        (("literal",), 12),
        (("sae",), 1),
        (("models",), 14),
        (("models", 0), 14),
        (("models", 0, "seed"), 15),
        (("models", 0, "inner"), 16),
        (("models", 0, "inner", "x"), 17),
        (("models", 0, "inner", "y"), 16),
        (("models", 1), 18),
        (("models", 1, "many"), 19),
        (("models", 1, "many", 0), 19),
        (("models", 1, "many", 1), 20),
        (("models", 1, "many", 1, "k"), 21),
        (("models", 1, "many", 1, "deep"), 22),
        (("models", 1, "many", 1, "deep", "l"), 23),
        (("models", 1, "many", 1, "deep", "last"), 25),
        (("models", 1, "many", 1, "deep", "other"), 22),
        (("models", 2), 14),
        (("nowhere", 3), 1),
    ],
)
def test_the_line_of_a_field_is_that_where_it_stands(location: Location, line: int) -> None:
    tomllib.loads(TRICKY)
    assert line_of(TRICKY, location) == line


names = st.text("ab.\"' =[]#", min_size=1, max_size=3)
leaves = st.one_of(
    st.integers(0, 9).map(str),
    st.sampled_from(["1.5", "true", '"x = 1"', "'[a]'", '"""\n[a]\n"""', "'''a\n'b''''", "inf"]),
)


def quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Location, int]]:
    """A document and where every key and element of it stands, written down as it grows."""
    text, found = "", {}

    def here() -> int:
        return text.count("\n") + 1

    def add(more: str) -> None:
        nonlocal text
        text += more

    def value(location: Location, depth: int) -> None:
        kind = draw(st.sampled_from(["leaf", "array", "table"])) if depth < 2 else "leaf"
        if kind == "leaf":
            add(draw(leaves))
        elif kind == "array":
            add("[")
            for index in range(draw(st.integers(0, 3))):
                add(draw(st.sampled_from(["", "\n", " # ]\n  "])))
                found[*location, index] = here()
                value((*location, index), depth + 1)
                add(draw(st.sampled_from([",", " ,\n"])))
            add("]")
        else:
            add("{")
            keys = draw(st.lists(names, max_size=2, unique=True))
            for index, key in enumerate(keys):
                add(", " if index else "")
                found[*location, key] = here()
                add(f"{quoted(key)} = ")
                value((*location, key), depth + 1)
            add("}")

    for number in range(draw(st.integers(1, 4))):
        around: Location = ()
        kind = draw(st.sampled_from(["plain", "table", "tables"])) if number else "plain"
        if kind != "plain":
            around = (f"t{number}",)
            found[around] = here()
            if kind == "tables":
                add(f"[[ t{number} ]]\n[[t{number}]] # again\n")
                found[*around, 0] = here() - 2
                around = (*around, 1)
                found[around] = here() - 1
            else:
                add(f"[t{number}]\n")
        for key in draw(st.lists(names, max_size=3, unique=True)):
            if number and kind == "plain":
                continue
            found[*around, key] = here()
            add(f"  {quoted(key)}= ")
            value((*around, key), 0)
            add(draw(st.sampled_from(["\n", "  # x = [1\n", "\n\n"])))
    return text, found


def locations(value: Any, location: Location = ()) -> set[Location]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else []
    )
    inner = [locations(child, (*location, key)) for key, child in items]
    return {location}.union(*inner)


@given(documents())
def test_every_key_and_element_of_any_document_is_found(document) -> None:
    text, found = document
    assert locations(tomllib.loads(text)) == {(), *found}
    for location, line in found.items():
        assert line_of(text, location) == line
