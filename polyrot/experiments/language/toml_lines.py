"""Lines of values in a TOML file, which the parser does not report."""

import re
import tomllib
from collections.abc import Callable

Location = tuple[str | int, ...]
"""Keys and positions, as pydantic names a field: `("models", 1, "folder")`."""

_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'  # a multi-line string may end in five quotes
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|(?P<comment>\#[^\n]*)|(?P<space>[ \t\r]+)"
    r"|[\[\]{}=,.\n]"
    r"|[^\s\[\]{}=,.\"'\#]+",
    re.DOTALL,
)


def line_of(text: str, location: Location) -> int:
    """Find the line of a field, or of the nearest table around it; the first is 1.

    `text` is valid TOML.
    """
    lines = _Lines(text).found
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return 1


class _Lines:
    """A walk through a document that records where every key and every element begins."""

    def __init__(self, text: str) -> None:
        self.found: dict[Location, int] = {}
        self._tokens: list[tuple[str, int]] = []
        line = 1
        for match in _TOKEN.finditer(text):
            if not (match["comment"] or match["space"]):
                self._tokens.append((match[0], line))
            line += match[0].count("\n")
        self._tokens.append(("", line))
        self._next = 0
        self._last: dict[Location, int] = {}
        """Position of the latest table in an array of tables."""
        table: Location = ()
        while self._word:
            if self._word == "[":
                table = self._header()
            elif self._word != "\n":
                self._entry(table)
            self._take("\n")

    @property
    def _word(self) -> str:
        return self._tokens[self._next][0]

    def _take(self, *expected: str) -> bool:
        """Consume the token if it is one of these."""
        taken = self._word in expected
        self._next += taken
        return taken

    def _header(self) -> Location:
        line = self._tokens[self._next][1]
        self._take("[")
        many = self._take("[")
        *around, last = self._keys()
        self._take("]")
        if many:
            self._take("]")
        table: Location = ()
        for key in around:
            table = self._inside((*table, key), line)
        table = (*table, last)
        if many:
            self._last[table] = self._last.get(table, -1) + 1
        return self._inside(table, line)

    def _inside(self, table: Location, line: int) -> Location:
        """Record a table; for an array of tables, its latest one."""
        self.found.setdefault(table, line)
        if table in self._last:
            table = (*table, self._last[table])
            self.found.setdefault(table, line)
        return table

    def _entry(self, table: Location) -> None:
        line = self._tokens[self._next][1]
        for key in self._keys():
            table = (*table, key)
            self.found.setdefault(table, line)
        self._take("=")
        self._value(table)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._take("."):
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        token = self._word
        self._next += 1
        return next(iter(tomllib.loads(f"{token} = 0")))  # without quotes and escapes

    def _value(self, location: Location) -> None:
        if self._take("["):
            self._elements("]", lambda index: self._element((*location, index)))
        elif self._take("{"):
            self._elements("}", lambda index: self._entry(location))
        else:
            while self._word not in ("", "\n", ",", "]", "}"):
                self._next += 1

    def _element(self, location: Location) -> None:
        self.found[location] = self._tokens[self._next][1]
        self._value(location)

    def _elements(self, end: str, walk: Callable[[int], None]) -> None:
        index = 0
        while not self._take(end):
            if not self._take("\n", ","):
                walk(index)
                index += 1
