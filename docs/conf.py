"""How Sphinx builds these pages: `tox -e docs`, or `sphinx-build -W docs build/docs/html`."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "polyrot"
author = "The polyrot authors"
version = release = installed_version("polyrot")
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "verdicts"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "polyrot"
html_static_path: list[str] = []
html_show_copyright = html_show_sourcelink = html_copy_source = False

# Nothing is fetched: no inventory of another project, no formula that wants a script.
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3


def link_files_outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Make `[...](../reports/x.md)`, which GitHub follows, a file to download here."""
    source[0] = re.sub(r"\]\((\.\./[^)#]+\.md)\)", r"](path:\1)", source[0])


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("source-read", link_files_outside)


# Docstrings write code in single backticks, as everything else here does.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
