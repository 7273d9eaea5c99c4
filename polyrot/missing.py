"""What is raised where something needed is not there."""


class NotRun(Exception):
    """Something needed is missing; the message says what, and how to get it."""
