"""What the wheel holds besides the package; an editable installation finds it in the clone."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Shipped(BuildHookInterface):  # type: ignore[type-arg]
    """Copy claims, calibration and reference verdicts, as the table in pyproject.toml says.

    Not hatchling's own table `force-include`: that copies into editable installations too, where
    the copies would grow old.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"].update(self.config["shipped"])
