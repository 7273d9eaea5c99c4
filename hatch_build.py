"""What the wheel holds besides the package; an editable installation finds it in the clone."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Shipped(BuildHookInterface):  # type: ignore[type-arg]
    """Copy claims, calibration and reference verdicts, as the patterns in pyproject.toml say.

    Each file or folder goes into the package under the path that it has in the clone.  Not
    hatchling's own table `force-include`: that copies into editable installations too, where the
    copies would grow old.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            return
        root = Path(self.root)
        for pattern in self.config["shipped"]:
            found = sorted(root.glob(pattern))
            if not found:
                raise FileNotFoundError(f"Expected files to ship as {pattern} in {root}, got none")
            for path in found:
                name = path.relative_to(root).as_posix()
                build_data["force_include"][str(path)] = f"polyrot/{name}"
