"""Suggestions for a name that does not exist."""

from collections.abc import Collection
from difflib import get_close_matches


def nearest(got: str, known: Collection[str]) -> list[str]:
    """Return the known names closest to the given one, the closest first."""
    by_capital = {name.upper(): name for name in known}
    return [by_capital[name] for name in get_close_matches(got.upper(), by_capital, 3, 0.7)]


def unknown(what: str, got: str, known: Collection[str]) -> str:
    """Make a message that names the closest known names, or all of them if none is close."""
    if near := nearest(got, known):
        return f"Expected {what} but got {got!r}; nearest: {', '.join(near)}"
    return f"Expected {what} among {', '.join(known) or 'none'} but got {got!r}"
