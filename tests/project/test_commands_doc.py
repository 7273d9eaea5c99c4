"""The page of commands: it has every command and option that there is, with its default."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from polyrot.cli import app
from polyrot.plugin import pytest_addoption

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
SECTIONS = dict(
    section.partition("\n")[::2] for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
)
ROW = re.compile(r"^\| ((?:`-[^`]+`(?:, )?)+) \|([^|]*)\|", re.MULTILINE)
COMMANDS = typer.main.get_command(app)


class Declared:
    """Takes what the plugin declares, as pytest's parser would."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    def getgroup(self, *_: str) -> "Declared":
        return self

    def addoption(self, *names: str, **settings: Any) -> None:
        self.options[", ".join(names)] = settings.get("default")


def of_pytest() -> dict[str, Any]:
    declared = Declared()
    pytest_addoption(declared)  # type: ignore[arg-type]
    return declared.options


def below(command: Any) -> Iterator[Any]:
    yield command
    for other in getattr(command, "commands", {}).values():
        yield from below(other)


def of_command(command: Any) -> dict[str, Any]:
    return {
        ", ".join(parameter.opts): parameter.default
        for each in below(command)
        for parameter in each.params
        if parameter.param_type_name == "option"
    }


OPTIONS = {
    "pytest claims/": of_pytest(),
    **{f"polyrot {name}": of_command(command) for name, command in COMMANDS.commands.items()},
}


def test_every_command_has_a_section() -> None:
    assert set(SECTIONS) == set(OPTIONS)
    for name, command in COMMANDS.commands.items():
        for other in getattr(command, "commands", {}):
            assert re.search(rf"`polyrot\s+{name}\s+{other}\b", SECTIONS[f"polyrot {name}"])


@pytest.mark.parametrize("command", OPTIONS)
def test_a_section_has_every_option_with_its_default(command: str) -> None:
    shown = {
        ", ".join(re.findall(r"`(-[\w-]+)", names)): default.strip("` ")
        for names, default in ROW.findall(SECTIONS[command])
    }
    assert set(shown) == set(OPTIONS[command])
    for name, default in OPTIONS[command].items():
        if default not in (None, False, "", []):
            assert shown[name] == str(default)


def test_options_of_polyrot_itself_are_told() -> None:
    for parameter in COMMANDS.params:
        assert f"`polyrot {parameter.opts[0]}`" in PAGE
