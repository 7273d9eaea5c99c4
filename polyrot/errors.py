"""The exception and the warning for something that is missing."""


class NotRun(Exception):
    """Something needed is missing; the message says what, and how to get it."""


class FigureWarning(UserWarning):
    """The figures of a measurement could not be drawn; its verdict stands."""
